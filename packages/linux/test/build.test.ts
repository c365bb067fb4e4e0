/** Tests of build.mjs, which builds the addon. Each build has a directory of its own. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, expect, it } from "vitest";

const packageDirectory = fileURLToPath(new URL("..", import.meta.url));

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "addon-build-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Builds the addon. @returns the output, and the files in dist */
function build(name: string, env: NodeJS.ProcessEnv = {}): { output: string; files: string[] } {
  const cwd = join(directory, name);
  cpSync(join(packageDirectory, "c"), join(cwd, "c"), { recursive: true });
  const { CM4ALL_COMPILER: _, ...rest } = process.env;
  const { stdout, stderr } = spawnSync(process.execPath, [join(packageDirectory, "build.mjs")], {
    cwd,
    env: { ...rest, ...env },
    encoding: "utf8",
  });
  return { output: stdout + stderr, files: readdirSync(join(cwd, "dist")) };
}

it("the addon is left out, with one line of output, if there is no compiler", () => {
  const { output, files } = build("without", { CC: "/nonexistent/gcc" });
  expect(output).toMatch(/^No C compiler with libc's headers .*\n$/);
  expect(files).toEqual([]);
});

it.skipIf(missing("gcc") !== undefined)("the addon has the same bytes wherever it is built", () => {
  const file = `syscall.linux-${process.arch}.node`;
  const flags = "-g -O2 -fstack-protector-strong";
  for (const name of ["a", "another place"])
    expect(build(name, { CFLAGS: flags, LDFLAGS: "-Wl,-z,relro" }).files).toEqual([file]);
  const bytes = (name: string) => readFileSync(join(directory, name, "dist", file));
  expect(bytes("a").equals(bytes("another place"))).toBe(true);
});
