import { bytesOfText } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import type { Place } from "./scopes.ts";
import { Totals } from "./totals.ts";
import { TreeNode } from "./tree-watch.ts";

const root = new TreeNode<Place>(undefined, bytesOfText(""), { kind: "way", patterns: [] }, 1n);
const scope = new TreeNode<Place>(root, bytesOfText("a.scope"), { kind: "scope" }, 2n);
const job = new TreeNode<Place>(scope, bytesOfText("job"), { kind: "cgroup" }, 3n);
const step = new TreeNode<Place>(job, bytesOfText("step"), { kind: "cgroup" }, 4n);
const usage = (cpuTotalUsec: number, memoryPeakBytes?: number) => ({
  cpuTotalUsec,
  memoryPeakBytes,
});

describe("Totals", () => {
  it("counts a report of the same cgroup only for what came since, and nothing twice", () => {
    const totals = new Totals();
    totals.add(step, usage(5), undefined);
    totals.add(job, usage(7, 100), undefined);
    totals.add(job, usage(10, 120), usage(7, 100));
    expect(totals.list()).toEqual([{ path: "/a.scope", cpuUsec: 10, memoryPeakBytes: 120 }]);
  });

  it("does not take a figure that is missing for 0", () => {
    const totals = new Totals();
    totals.add(job, usage(7), undefined);
    expect(totals.list()).toEqual([{ path: "/a.scope", cpuUsec: 7, memoryPeakBytes: undefined }]);
  });
});
