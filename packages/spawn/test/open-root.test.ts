/** Tests which directories are accepted as the cgroup root. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tryFindCgroup2 } from "@cm4all/cgroup";
import { EX_CONFIG } from "@cm4all/command";
import { bytesOfText, textOf } from "@cm4all/linux";
import { missing, ScratchCgroup } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readConfig } from "../src/config.ts";
import { CgroupRootError, checkCgroupRoot } from "../src/reaper/open-root.ts";

const program = join(import.meta.dirname, "../dist/cm4all-spawn.js");
let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "open-root-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const check = (path: string) => checkCgroupRoot(bytesOfText(path));

describe.skipIf(missing("cgroup2") !== undefined)("cgroup2", () => {
  it("is accepted", () => {
    const mount = tryFindCgroup2();
    expect(mount).toBeDefined();
    if (mount !== undefined) check(textOf(mount));
  });
});

describe.skipIf(missing("root", "cgroup2") !== undefined)("a cgroup with a non-ASCII name", () => {
  it("is accepted", async () => {
    const scratch = new ScratchCgroup();
    try {
      check(scratch.make("\u00e4\u20ac"));
    } finally {
      await scratch.remove();
    }
  });
});

describe("a directory outside cgroup2", () => {
  it("is refused in one line with the reason", () => {
    expect(() => check("/nonexistent")).toThrow(
      /^cannot open the cgroup root: ENOENT: .*'\/nonexistent'$/,
    );
    expect(() => check("/proc")).toThrow(
      new CgroupRootError("/proc is not in cgroup2, but in a file system of type 0x9fa0"),
    );
    expect(() => check("/dev/null")).toThrow(CgroupRootError);
    expect(() => check(directory)).toThrow(/^\S+ is not in cgroup2, but in /);
  });

  it("is refused, with its line in the configuration, by all commands that read the file", () => {
    const file = join(directory, "spawn.toml");
    writeFileSync(file, `[reaper]\ncgroup_root = "/proc"\n`);
    const line = `${file}:2: reaper.cgroup_root: /proc is not in cgroup2, but in a file system of type 0x9fa0`;
    expect(() => readConfig(file)).toThrow(line);
    const commands = [["--check-config"], ["check"], []];
    for (const command of commands) {
      const args = [program, "--config", file, ...command];
      const { stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
      const lines = stderr.trimEnd().split("\n");
      expect(lines, command.join()).toEqual([expect.stringContaining(line)]);
      expect(status).toBe(EX_CONFIG);
    }
  });
});

describe.skipIf(missing("root") !== undefined)("a tmpfs", () => {
  it("is named in the error when it is refused", () => {
    const config = join(directory, "tmpfs.toml");
    writeFileSync(config, `[reaper]\ncgroup_root = "/mnt"\n`);
    // The tmpfs is mounted in a separate mount namespace.
    const script = 'mount -t tmpfs none /mnt && exec "$@"';
    const command = [process.execPath, program, "--check-config", "--config", config];
    const { stderr } = spawnSync("unshare", ["-m", "sh", "-c", script, "sh", ...command]);
    expect(String(stderr)).toContain("/mnt is not in cgroup2, but in tmpfs");
  });
});
