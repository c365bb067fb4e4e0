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
  let older: string;
  let newer: string;
  const select = () => selectScript(directory, PACKAGED);

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "select-script-"));
    directory = join(root, "a/b");
    older = join(directory, "accounting.lua");
    newer = join(directory, "reaper.lua");
    mkdirSync(directory, { recursive: true });
  });
  afterEach(() => rmSync(root, { recursive: true }));

  // The script in versions 0.14 to 0.27 of the original package.
  const EMPTY = "function cgroup_released(cgroup)\nend\n";

  it("selects the right script, whether there are two, one or none", () => {
    expect(select()).toEqual({ path: PACKAGED });
    writeFileSync(newer, EMPTY);
    expect(select()).toEqual({ path: newer });
    writeFileSync(older, "x = 1");
    expect(select()).toEqual({ path: older });
    for (const still of ["", "-- mine\n--[==[ x = 1\n ]] ]==]\n"]) {
      writeFileSync(newer, still + EMPTY);
      expect(select()).toEqual({ path: older });
    }
    writeFileSync(newer, `x = 1\n${EMPTY}`);
    expect(select()).toEqual({ path: newer, warning: expect.stringContaining("differs") });
    writeFileSync(older, `x = 1\n${EMPTY}`);
    expect(select()).toEqual({ path: newer });
    writeFileSync(older, EMPTY);
    expect(select()).toEqual({ path: newer });
    rmSync(newer);
    expect(select()).toEqual({ path: older });
  });

  it("uses a script with a comment that does not end, so that the mistake is reported", () => {
    writeFileSync(older, "x = 1");
    writeFileSync(newer, `${EMPTY}--[=[ x ]]`);
    expect(select().path).toBe(newer);
  });

  it("takes less than 2 s even for a script full of unclosed comments", () => {
    writeFileSync(newer, "--[[\n".repeat(50_000));
    const started = performance.now();
    expect(select()).toEqual({ path: newer });
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it("needs to read the older script only if the newer one does nothing", () => {
    writeFileSync(newer, "x = 1");
    mkdirSync(older);
    expect(select()).toEqual({
      path: newer,
      warning: expect.stringContaining("not a regular file"),
    });
    writeFileSync(newer, EMPTY);
    expect(select).toThrow("not a regular file");
  });

  it("treats a missing directory, at any level, as a directory without scripts", () => {
    rmSync(directory, { recursive: true });
    expect(select()).toEqual({ path: PACKAGED });
    rmSync(join(root, "a"), { recursive: true });
    expect(select()).toEqual({ path: PACKAGED });
  });

  it.each(["accounting.lua", "reaper.lua"])(
    "does not treat an unreadable %s as missing",
    (name) => {
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
    },
  );

  it("does not treat an inaccessible directory as missing", () => {
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
