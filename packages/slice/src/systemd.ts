/** The parts of systemd that the installation deals with. */
import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CommandFailure, EX_UNAVAILABLE } from "@cm4all/command";
import { fileFailure, isErrno, replaceFile } from "@cm4all/command/files";
import { MAX_TEXT_FILE, readRegularFile } from "@cm4all/command/regular-file";
import type { Tree } from "@cm4all/command/tree";
import { isNestedUnit, SLICE_UNIT } from "./name.ts";

/** The directory of an administrator's units, which override those of packages. */
export const ADMIN_UNIT_DIR = "/etc/systemd/system";

/** The directories of packages' units, in order of precedence. @see systemd.unit(5) */
const PACKAGE_UNIT_DIRS = ["/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];

const READ_BY_SYSTEMD = [
  ADMIN_UNIT_DIR,
  "/run/systemd/system",
  ...PACKAGE_UNIT_DIRS,
  "/lib/systemd/system",
];

/**
 * Returns the path of the package's unit file that `unit` in ADMIN_UNIT_DIR overrides; undefined if
 * there is none.
 */
export function findOverridden(tree: Tree, unit: string): string | undefined {
  const path = PACKAGE_UNIT_DIRS.map((directory) => join(directory, unit)).find((path) =>
    tree.has(path),
  );
  return path === undefined ? undefined : tree.show(path);
}

/**
 * Returns true if the running systemd reads units from `directory`.
 * @see sd_booted(3)
 */
export function isReadByRunningSystemd(root: string | undefined, directory: string): boolean {
  const ours = root === undefined && READ_BY_SYSTEMD.includes(directory);
  return ours && existsSync("/run/systemd/system");
}

/**
 * The file that lists the units whose changed files systemd has not read yet, one per line. From
 * it, the next command learns of changes that are not in effect because systemctl failed, or
 * because the command was killed. After a boot, systemd has read everything.
 */
const UNREAD_FILE = "/run/cm4all-slice.unread";

/**
 * Notes that units are about to be changed. Returns them, and those that were noted earlier and
 * have not been read by systemd since.
 * @throws CommandFailure
 */
export function noteUnread(units: readonly string[]): string[] {
  try {
    const all = [...new Set([...readUnread(), ...units])];
    if (units.length > 0) replaceFile(UNREAD_FILE, all.map((unit) => `${unit}\n`).join(""), 0o644);
    return all;
  } catch (error) {
    throw fileFailure(`cannot read or write ${UNREAD_FILE}`, error);
  }
}

function readUnread(): string[] {
  try {
    const lines = readRegularFile(UNREAD_FILE, MAX_TEXT_FILE).toString().split("\n");
    return lines.filter((unit) => unit === SLICE_UNIT || isNestedUnit(unit));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** Notes that systemd has read all units. @throws CommandFailure */
export function forgetUnread(): void {
  try {
    rmSync(UNREAD_FILE, { force: true });
  } catch (error) {
    throw fileFailure(`cannot remove ${UNREAD_FILE}`, error);
  }
}

function systemctl(...args: string[]): { succeeded: boolean; reason: string } {
  const { status, error, stderr } = spawnSync("systemctl", args, {
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
  });
  return { succeeded: status === 0, reason: error?.message ?? stderr.trim() };
}

/**
 * Makes systemd read its units again, and applies the new limits to those of `units` that are
 * active.
 * @throws CommandFailure
 */
export function reloadSystemd(units: readonly string[]): void {
  const run = (...args: string[]) => {
    const { succeeded, reason } = systemctl(...args);
    if (succeeded) return;
    throw new CommandFailure(
      `the unit files have been changed, but "systemctl ${args.join(" ")}" failed: ${reason}`,
      EX_UNAVAILABLE,
    );
  };
  run("daemon-reload");
  for (const unit of units) {
    if (!systemctl("is-active", "--quiet", unit).succeeded) continue;
    // After a reload, systemd 257 (but not 252) passes the new limits to the kernel only with the
    // next change of a property. The removal of a marker that is not set is such a change: it has
    // no other effect, and leaves no drop-in that would override the unit.
    run("set-property", "--runtime", unit, "Markers=-needs-restart");
  }
}
