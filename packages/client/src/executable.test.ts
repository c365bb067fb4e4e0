import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesOf, bytesOfText } from "@cm4all/linux";
import { afterAll, describe, expect, it } from "vitest";
import * as executable from "./executable.ts";

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

const findExecutable = (command: string, path: string) => {
  const finding = executable.findExecutable(bytesOfText(command), bytesOfText(path));
  return Buffer.isBuffer(finding) ? "found" : finding;
};

describe("findExecutable", () => {
  it("returns a path that is not valid UTF-8", () => {
    const sub = Buffer.concat([Buffer.from(`${directory}/`), Buffer.of(0xff)]);
    const file = Buffer.concat([sub, Buffer.from("/M"), Buffer.of(0xfc)]);
    mkdirSync(sub);
    writeFileSync(file, "", { mode: 0o755 });
    const command = bytesOf(Buffer.from([0x4d, 0xfc]));
    expect(executable.findExecutable(command, bytesOf(sub))).toEqual(file);
    expect(executable.findExecutable(bytesOf(file), bytesOfText(""))).toEqual(file);
    expect(executable.findExecutable(command, bytesOfText(directory))).toBe("not found");
  });

  it.each([
    ["program", "found"],
    ["data", "not executable"],
    ["bin", "not found"],
    ["nothing", "not found"],
    ["", "not found"],
  ])("on the PATH: %j is %s", (command, expected) => {
    expect(findExecutable(command, `/nowhere:${directory}`)).toBe(expected);
  });

  it("keeps searching if the first file of that name is not executable", () => {
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
