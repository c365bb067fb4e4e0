import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  parseCgroup2Mount,
  parseCpuUsage,
  parseLimit,
  parseNumber,
  readUsage,
  tryReadTree,
} from "./cgroup.ts";

describe("parseCgroup2Mount", () => {
  it.each([
    [
      "30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
      "/sys/fs/cgroup",
    ],
    [
      "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
      "/sys/fs/cgroup/unified",
    ],
    ["41 31 0:38 / /mnt/a\\040b rw - cgroup2 none rw\n", "/mnt/a b"],
    ["31 23 0:28 / /cgroup2 rw - tmpfs cgroup2 rw\n", undefined],
    ["", undefined],
  ])("%j: %s", (mountinfo, mount) => {
    expect(parseCgroup2Mount(mountinfo)).toBe(mount);
  });
});

describe("the parsers", () => {
  it("read the kernel's numbers", () => {
    expect(parseCpuUsage("usage_usec 123456\nuser_usec 100\nsystem_usec 23\n")).toBe(123456);
    expect(parseCpuUsage("user_usec 100\n")).toBeUndefined();
    expect(parseNumber("4096\n")).toBe(4096);
    expect(parseNumber("\n")).toBeUndefined();
    expect(parseLimit("max\n")).toBe("infinity");
    expect(parseLimit("100\n")).toBe(100);
  });
});

describe("tryReadTree", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "slice-cgroup-"));
  });
  afterEach(() => {
    rmSync(root, { recursive: true });
  });

  it("has no value for a file that is not there", () => {
    writeFileSync(join(root, "cpu.stat"), "usage_usec 5\n");
    const values = Object.entries(readUsage(root)).filter(([, value]) => value !== undefined);
    expect(values).toEqual([["cpuUsec", 5]]);
  });

  it("descends where it is told to, sorted by name", () => {
    for (const cgroup of ["b.scope/inner", "a.slice/c.scope"])
      mkdirSync(join(root, cgroup), { recursive: true });
    const names = (descend: (name: string) => boolean) =>
      JSON.stringify(tryReadTree(root, "x.slice", descend), ["name", "children"]);
    expect(names((name) => name.endsWith(".slice"))).toBe(
      '{"name":"x.slice","children":[{"name":"a.slice","children":[{"name":"c.scope","children":[]}]},{"name":"b.scope","children":[]}]}',
    );
    expect(names(() => true)).toContain('{"name":"b.scope","children":[{"name":"inner"');
  });

  it("is undefined for a cgroup that is not there", () => {
    expect(tryReadTree(join(root, "none"), "none", () => true)).toBeUndefined();
  });
});
