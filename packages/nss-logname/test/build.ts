/** Builds and runs programs for the tests. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect } from "vitest";

const packageDirectory = join(import.meta.dirname, "..");
export const dist = join(packageDirectory, "dist");
export const moduleName = "libnss_cm4all_logname.so.2";
export const builtModule = join(dist, moduleName);
export const builtCommand = join(dist, "cm4all-logname.js");

/** Compiles C files of the package; a warning is an error. */
export function compile(outfile: string, sources: readonly string[], ...flags: string[]): void {
  const strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-O1"];
  const files = sources.map((name) => join(packageDirectory, "c", name));
  const { stderr, status } = spawnSync("gcc", [...strict, ...flags, "-o", outfile, ...files], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
}

/** Returns the output of a program, which has to exit with 0 and print no messages. */
export function output(program: string, args: readonly string[], env = process.env): string {
  const { stdout, stderr, status } = spawnSync(program, args, { encoding: "utf8", env });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return stdout;
}
