// @ts-check
/** Finds the C compiler, if there is one. Runs on a bare checkout. */
import { spawnSync } from "node:child_process";

/** The message if there is no compiler. */
export const NO_COMPILER =
  "No C compiler with libc's headers (gcc, libc6-dev): system calls go through ffi-rs alone, " +
  "and take longer.";

/**
 * Finds the compiler that `$CC` names, by default gcc.
 * @returns its name, and the first line of its version; undefined if there is no compiler, or if
 *   the compiler does not find libc's headers
 */
export function findCompiler() {
  const command = process.env["CC"] || "gcc";
  const probe = spawnSync(command, ["-E", "-o", "/dev/null", "-x", "c", "-"], {
    input: "#include <sys/syscall.h>\n#include <unistd.h>\n",
    stdio: ["pipe", "ignore", "ignore"],
  });
  if (probe.status !== 0) return undefined;
  const { stdout } = spawnSync(command, ["--version"], { encoding: "utf8" });
  return { command, version: stdout.split("\n")[0] ?? "" };
}
