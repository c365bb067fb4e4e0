import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makeDirectories } from "./make-directories.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "make-directories-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const modeOf = (path: string) => statSync(path).mode & 0o777;

it("makes missing directories with the mode, and leaves existing ones alone", async () => {
  await makeDirectories(join(directory, "a/b/c"), 0o700);
  expect(["a", "a/b", "a/b/c"].map((name) => modeOf(join(directory, name)))).toEqual([
    0o700, 0o700, 0o700,
  ]);
  await makeDirectories(join(directory, "a/b"), 0o755);
  expect(modeOf(join(directory, "a/b"))).toBe(0o700);
  symlinkSync("a", join(directory, "link"));
  await makeDirectories(join(directory, "link"), 0o700);
  await makeDirectories("/", 0o700);
});

it.each([
  ["/proc/nothing", "ENOENT"],
  ["/proc/nothing/more", "ENOENT"],
  ["/dev/null", "EEXIST"],
  ["/dev/null/more", "ENOTDIR"],
])("reports why %s cannot be made", async (path, code) => {
  await expect(makeDirectories(path, 0o700)).rejects.toMatchObject({ code });
});

it("refuses a dangling link and a file", async () => {
  const path = join(directory, "link");
  symlinkSync("nowhere", path);
  await expect(makeDirectories(path, 0o700)).rejects.toMatchObject({ code: "ENOENT" });
  writeFileSync(join(directory, "file"), "");
  await expect(makeDirectories(join(directory, "file"), 0o700)).rejects.toMatchObject({
    code: "EEXIST",
  });
});
