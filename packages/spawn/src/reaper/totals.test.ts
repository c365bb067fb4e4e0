import { bytesOfText } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { zeroCounts } from "../metrics/declaration.ts";
import { REAPER_METRICS } from "./metrics.ts";
import type { Place } from "./scopes.ts";
import { countUsage } from "./totals.ts";
import { TreeNode } from "./tree-watch.ts";

const root = new TreeNode<Place>(undefined, bytesOfText(""), { kind: "way", patterns: [] }, 1n);
const scope = new TreeNode<Place>(root, bytesOfText("a.scope"), { kind: "scope" }, 2n);
const job = new TreeNode<Place>(scope, bytesOfText("job"), { kind: "cgroup" }, 3n);
const step = new TreeNode<Place>(job, bytesOfText("step"), { kind: "cgroup" }, 4n);
const usage = (cpuTotalUsec: number, memoryPeakBytes?: number) => ({
  cpuTotalUsec,
  memoryPeakBytes,
});

describe("countUsage", () => {
  it("counts CPU time of the same cgroup only for what came since, and nothing twice", () => {
    const counts = zeroCounts(REAPER_METRICS);
    countUsage(counts, step, usage(5e6), undefined);
    countUsage(counts, job, usage(7e6), undefined);
    countUsage(counts, job, usage(10e6), usage(7e6));
    expect(counts.scopeCpuSeconds).toEqual({ "/a.scope": 10 });
  });

  it("counts the peak of memory each time", () => {
    const counts = zeroCounts(REAPER_METRICS);
    countUsage(counts, job, usage(0, 100), undefined);
    countUsage(counts, job, usage(0, 120), usage(0, 100));
    const { "/a.scope": peaks } = counts.scopeMemoryPeakBytes;
    expect(peaks?.sum).toBe(220);
    expect(peaks?.counts[0]).toBe(2);
  });

  it("does not take a figure that is missing for 0", () => {
    const counts = zeroCounts(REAPER_METRICS);
    countUsage(counts, job, usage(7e6), undefined);
    expect(counts.scopeCpuSeconds).toEqual({ "/a.scope": 7 });
    expect(counts.scopeMemoryPeakBytes).toEqual({});
  });
});
