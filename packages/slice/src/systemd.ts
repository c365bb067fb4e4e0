/** What the installation has to know of the systemd around it. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CommandFailure, EX_UNAVAILABLE } from "@cm4all/command";
import { belowRoot } from "@cm4all/command/files";

/** Where an administrator's units are; they override those of packages. */
export const ADMIN_UNIT_DIR = "/etc/systemd/system";

/** Where packages put theirs, the most important first. @see systemd.unit(5) */
const PACKAGE_UNIT_DIRS = ["/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];

const READ_BY_SYSTEMD = [
  ADMIN_UNIT_DIR,
  "/run/systemd/system",
  ...PACKAGE_UNIT_DIRS,
  "/lib/systemd/system",
];

/** The package's file that `unit` in ADMIN_UNIT_DIR overrides. */
export function findOverridden(root: string | undefined, unit: string): string | undefined {
  const paths = PACKAGE_UNIT_DIRS.map((directory) => belowRoot(root, join(directory, unit)));
  return paths.find((path) => existsSync(path));
}

/**
 * Whether a change of `directory` is one for the systemd that runs here to take up.
 * @see sd_booted(3)
 */
export function isReadByRunningSystemd(root: string | undefined, directory: string): boolean {
  const ours = root === undefined && READ_BY_SYSTEMD.includes(directory);
  return ours && existsSync("/run/systemd/system");
}

/** Makes systemd read its units again. @throws CommandFailure */
export function reloadSystemd(): void {
  const result = spawnSync("systemctl", ["daemon-reload"], {
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (result.status === 0) return;
  const reason = result.error?.message ?? result.stderr.trim();
  throw new CommandFailure(
    `the unit files are in place, but "systemctl daemon-reload" failed: ${reason}`,
    EX_UNAVAILABLE,
  );
}
