/** The names of the slices: unit names, and the cgroups that systemd makes for them. */

export const SLICE_UNIT = "system-cm4all.slice";

/** Thrown for a nested slice's name that cannot be part of a unit's name. */
export class SliceNameError extends Error {
  override readonly name = "SliceNameError";
}

/**
 * One of the parts into which dashes divide a unit's name. Any character that is not listed has to
 * be escaped as `\xNN`. systemd accepts a colon, too, but for systemd-analyze(1) a colon begins an
 * alias.
 */
const COMPONENT = /^([A-Za-z0-9_.]|\\x[0-9a-f]{2})+$/;
const UNIT_NAME_MAX = 255;

/**
 * Returns the name of the unit of the nested slice `name` or, without a name, of the slice itself.
 * A dash separates two levels: `a-b` is `system-cm4all-a-b.slice`, which systemd places in
 * `system-cm4all-a.slice`.
 * @throws SliceNameError for a name that is not allowed, or is too long
 * @see systemd.slice(5), systemd.unit(5)
 */
export function sliceUnit(name?: string): string {
  if (name === undefined) return SLICE_UNIT;
  if (!name.split("-").every((component) => COMPONENT.test(component)))
    throw new SliceNameError(
      `${JSON.stringify(name)} is not a name for a slice: use letters, digits, "_" and ".", and dashes to separate the levels of nested slices; systemd-escape(1) writes other characters as \\xNN`,
    );
  const unit = `system-cm4all-${name}.slice`;
  if (unit.length > UNIT_NAME_MAX)
    throw new SliceNameError(
      `${JSON.stringify(name)}: ${unit.length} characters are too many for a unit's name, which has at most ${UNIT_NAME_MAX}`,
    );
  return unit;
}

/** Returns true if a file's name is that of a slice below ours. */
export function isNestedUnit(fileName: string): boolean {
  return fileName.startsWith("system-cm4all-") && fileName.endsWith(".slice");
}

/**
 * Returns the path, from the root of cgroup2, at which systemd makes the cgroup of one of our
 * slices: each dash in the name separates two levels of slices.
 */
export function cgroupOf(unit: string): string {
  const parts = unit.slice(0, -".slice".length).split("-");
  return parts.map((_, end) => `/${parts.slice(0, end + 1).join("-")}.slice`).join("");
}

/** Returns the NAME in `system-cm4all-NAME.slice`. */
export function nestedName(unit: string): string {
  return unit.slice("system-cm4all-".length, -".slice".length);
}
