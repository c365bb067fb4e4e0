import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesOfText } from "@cm4all/linux/byte-string";
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
    const values = Object.entries(readUsage(bytesOfText(root))).filter(
      ([, value]) => value !== undefined,
    );
    expect(values).toEqual([["cpuUsec", 5]]);
  });

  it("sorts cgroups by name, and descends only into the chosen ones", () => {
    for (const cgroup of ["b.scope/inner", "a.slice/c.scope"])
      mkdirSync(join(root, cgroup), { recursive: true });
    const names = (descend: (name: string) => boolean) =>
      JSON.stringify(tryReadTree(bytesOfText(root), "x.slice", descend), ["name", "children"]);
    expect(names((name) => name.endsWith(".slice"))).toBe(
      '{"name":"x.slice","children":[{"name":"a.slice","children":[{"name":"c.scope","children":[]}]},{"name":"b.scope","children":[]}]}',
    );
    expect(names(() => true)).toContain('{"name":"b.scope","children":[{"name":"inner"');
  });

  it("is undefined for a cgroup that does not exist", () => {
    expect(tryReadTree(bytesOfText(join(root, "none")), "none", () => true)).toBeUndefined();
  });

  it("reads cgroups whose names are not UTF-8", () => {
    const directory = Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x63, 0xe9, 0xff])]);
    mkdirSync(directory);
    writeFileSync(Buffer.concat([directory, Buffer.from("/pids.current")]), "7\n");
    const tree = tryReadTree(bytesOfText(root), "x.slice", () => true);
    expect(tree?.children).toMatchObject([{ name: "c\ufffd\ufffd", usage: { tasks: 7 } }]);
  });

  it("reads nested cgroups down to the longest path that is allowed", () => {
    const level = "d".repeat(255);
    const script = `for (let i = 0; i < 20; i++) {
  require("node:fs").mkdirSync("${level}");
  process.chdir("${level}");
}`;
    expect(spawnSync(process.execPath, ["-e", script], { cwd: root }).status).toBe(0);
    let depth = 0;
    let tree = tryReadTree(bytesOfText(root), "x.slice", () => true);
    for (; tree?.children[0] !== undefined; tree = tree.children[0]) depth += 1;
    expect(depth).toBe(Math.floor((4095 - root.length) / 256));
    // rmSync() fails with ENAMETOOLONG.
    expect(spawnSync("rm", ["-r", level], { cwd: root }).status).toBe(0);
  });
});
