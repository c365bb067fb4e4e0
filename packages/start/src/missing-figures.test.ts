import { describe, expect, it } from "vitest";
import { explainMissing, parseLegacyControllers } from "./missing-figures.ts";

const all = ["cpu", "io", "memory", "pids"];
const explain = (host: Partial<Parameters<typeof explainMissing>[0]>) =>
  explainMissing({ root: all, scope: all, legacy: [], has: () => false, ...host });

describe("explainMissing", () => {
  it("returns nothing if all files exist", () => {
    expect(explain({ has: () => true })).toEqual([]);
  });

  it("distinguishes the reasons", () => {
    expect(explain({ has: (file) => file !== "pids.peak" })).toEqual([
      "processes: this kernel is older than 6.1",
    ]);
    expect(explain({ scope: ["io"], has: (file) => file === "io.stat" })).toEqual([
      "memory, processes: cgroup.subtree_control of the root does not have the controller",
    ]);
    expect(explain({ root: [], scope: [], legacy: ["memory", "blkio"] })).toEqual([
      "memory, input and output: cgroup v1 has the controller on this host",
      "processes: this kernel has no such controller",
    ]);
  });
});

it("reads which controllers cgroup v1 has", () => {
  const text =
    "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t4\t18\t1\nhugetlb\t0\t7\t1\n";
  expect(parseLegacyControllers(text)).toEqual(["memory"]);
});
