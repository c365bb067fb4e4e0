/** Checks the name of a namespace or of a link. Pure. */

/** IFNAMSIZ of the kernel's if.h, less the NUL. */
const NAME_BYTES_MAX = 15;

/**
 * Returns what is wrong with `name`; undefined if it can be used. The kernel refuses most bad names
 * for a link (dev_valid_name), but some only later, or with errors that are hard to understand.
 */
export function nameProblem(name: string): string | undefined {
  const bytes = Buffer.from(name);
  if (bytes.length === 0) return "the name is empty";
  if (bytes.length > NAME_BYTES_MAX)
    return `the name is ${bytes.length} bytes long; at most ${NAME_BYTES_MAX} are allowed`;
  if (name === "." || name === "..") return "the name is that of a directory";
  // /proc/sys has the settings of all links, and of new ones, under these names.
  if (name === "all" || name === "default")
    return "the name has another meaning among the kernel's settings of links";
  // Node replaces bytes that are not UTF-8 with this character.
  if (name.includes("\ufffd")) return "the name is not UTF-8";
  const forbidden = /[/:%]/.exec(name)?.[0];
  if (forbidden !== undefined) return `the name contains ${JSON.stringify(forbidden)}`;
  // The kernel reads bytes as Latin-1, in which A0 is a space. The second byte of "à" is A0, too.
  if (/\s/.test(name) || bytes.includes(0xa0)) return "the name contains white space";
  if (bytes.some((byte) => byte < 0x20 || byte === 0x7f))
    return "the name contains a control character";
  return undefined;
}
