import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseLimit, readUsage, tryReadTree } from "./cgroup.ts";

describe("parseLimit", () => {
  it("reads a number, and max as no limit", () => {
    expect(parseLimit("max\n")).toBe("infinity");
    expect(parseLimit("100\n")).toBe(100);
    expect(parseLimit("1e3\n")).toBeUndefined();
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

  it("has no value for a missing file", () => {
    writeFileSync(join(root, "cpu.stat"), "usage_usec 5\n");
    const values = Object.entries(readUsage(root)).filter(([, value]) => value !== undefined);
    expect(values).toEqual([["cpuUsec", 5]]);
  });

  it("descends into the chosen cgroups, sorted by name", () => {
    for (const cgroup of ["b.scope/inner", "a.slice/c.scope"])
      mkdirSync(join(root, cgroup), { recursive: true });
    const names = (descend: (name: string) => boolean) =>
      JSON.stringify(tryReadTree(root, "x.slice", descend), ["name", "children"]);
    expect(names((name) => name.endsWith(".slice"))).toBe(
      '{"name":"x.slice","children":[{"name":"a.slice","children":[{"name":"c.scope","children":[]}]},{"name":"b.scope","children":[]}]}',
    );
    expect(names(() => true)).toContain('{"name":"b.scope","children":[{"name":"inner"');
  });

  it("is undefined for a cgroup that does not exist", () => {
    expect(tryReadTree(join(root, "none"), "none", () => true)).toBeUndefined();
  });
});
