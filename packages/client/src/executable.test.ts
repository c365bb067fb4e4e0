import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { findExecutable } from "./executable.ts";

const directory = mkdtempSync(join(tmpdir(), "executable-"));
afterAll(() => rmSync(directory, { recursive: true }));
mkdirSync(join(directory, "bin"));
for (const [name, mode] of [
  ["data", 0o644],
  ["program", 0o755],
  ["bin/data", 0o755],
] as const) {
  writeFileSync(join(directory, name), "");
  chmodSync(join(directory, name), mode);
}

describe("findExecutable", () => {
  it.each([
    ["program", "found"],
    ["data", "not executable"],
    ["bin", "not found"],
    ["nothing", "not found"],
    ["", "not found"],
  ])("on the PATH: %j is %s", (command, expected) => {
    expect(findExecutable(command, `/nowhere:${directory}`)).toBe(expected);
  });

  it("goes on where the first one is not executable", () => {
    expect(findExecutable("data", `${directory}:${directory}/bin`)).toBe("found");
  });

  it("passes over a directory that cannot be searched", () => {
    const loop = join(directory, "loop");
    symlinkSync(loop, loop);
    expect(findExecutable("program", `${loop}:${directory}`)).toBe("found");
    expect(findExecutable("nothing", `${loop}:${directory}`)).toBe("not found");
  });

  it("takes a path as it is", () => {
    expect(findExecutable(`${directory}/program`, "")).toBe("found");
    expect(findExecutable(`${directory}/data`, "")).toBe("not executable");
    expect(findExecutable(`${directory}/none`, "")).toBe("not found");
    expect(findExecutable(`${directory}/program/x`, "")).toBe("not found");
    expect(findExecutable(directory, "")).toBe("not executable");
  });
});
