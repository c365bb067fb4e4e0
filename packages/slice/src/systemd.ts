/** The parts of systemd that the installation deals with. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CommandFailure, EX_UNAVAILABLE } from "@cm4all/command";
import type { Tree } from "@cm4all/command/tree";

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
