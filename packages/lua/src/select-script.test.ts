import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { selectScript } from "./select-script.ts";

const PACKAGED = "/usr/share/packaged.lua";

describe("selectScript", () => {
  let root: string;
  let directory: string;
  let first: string;
  let second: string;
  const select = () => selectScript(directory, PACKAGED);

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "select-script-"));
    directory = join(root, "a/b");
    first = join(directory, "accounting.lua");
    second = join(directory, "reaper.lua");
    mkdirSync(directory, { recursive: true });
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it("takes the first that is there, and warns of a second that differs", () => {
    expect(select()).toEqual({ path: PACKAGED });
    writeFileSync(second, "x = 1");
    expect(select()).toEqual({ path: second });
    writeFileSync(first, "x = 1");
    expect(select()).toEqual({ path: first });
    writeFileSync(first, "x = 2");
    expect(select()).toEqual({ path: first, warning: expect.stringContaining("differs") });
    rmSync(second);
    mkdirSync(second);
    expect(select()).toEqual({
      path: first,
      warning: expect.stringContaining("not a regular file"),
    });
  });

  it("takes a directory that is missing, at any height, for one without scripts", () => {
    rmSync(directory, { recursive: true });
    expect(select()).toEqual({ path: PACKAGED });
    rmSync(join(root, "a"), { recursive: true });
    expect(select()).toEqual({ path: PACKAGED });
  });

  it.each(["accounting.lua", "reaper.lua"])("does not take an unreadable %s for none", (name) => {
    const path = join(directory, name);
    symlinkSync("gone", path);
    expect(select).toThrow("ENOENT");
    rmSync(path);
    symlinkSync(name, path);
    expect(select).toThrow("ELOOP");
    rmSync(path);
    mkdirSync(path);
    expect(select).toThrow("it is not a regular file");
    rmSync(path, { recursive: true });
    expect(spawnSync("mkfifo", [path]).status).toBe(0);
    expect(select).toThrow(`${path}: it is not a regular file`);
  });

  it("does not take a directory that cannot be entered for none", () => {
    rmSync(directory, { recursive: true });
    symlinkSync("gone", directory);
    expect(select).toThrow("ENOENT");
    rmSync(directory);
    writeFileSync(directory, "");
    expect(select).toThrow("ENOTDIR");
    rmSync(join(root, "a"), { recursive: true });
    symlinkSync("gone", join(root, "a"));
    expect(select).toThrow("ENOENT");
  });
});
