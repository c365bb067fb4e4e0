import { bytesOfText } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { zeroCounts } from "../metrics/declaration.ts";
import { REAPER_METRICS } from "./metrics.ts";
import type { Place } from "./scopes.ts";
import { countUsage, forgetScope } from "./totals.ts";
import { TreeNode } from "./tree-node.ts";

const root = new TreeNode<Place>(undefined, bytesOfText(""), { kind: "way", patterns: [] }, 1);
const scope = new TreeNode<Place>(root, bytesOfText("a.scope"), { kind: "scope" }, 2);
const job = new TreeNode<Place>(scope, bytesOfText("job"), { kind: "cgroup" }, 3);
const step = new TreeNode<Place>(job, bytesOfText("step"), { kind: "cgroup" }, 4);
const usage = (cpuTotalUsec: number, memoryPeakBytes?: number, report = 1) => ({
  path: job.path,
  id: "job",
  report,
  measuredMs: 0,
  cpuTotalUsec,
  memoryPeakBytes,
});

describe("countUsage", () => {
  it("counts only what a cgroup has used since its last count, and its children's usage once", () => {
    const counts = zeroCounts(REAPER_METRICS);
    countUsage(counts, step, usage(5e6), undefined);
    countUsage(counts, job, usage(7e6), undefined);
    countUsage(counts, job, usage(10e6), usage(7e6));
    expect(counts.scopeCpuSeconds).toEqual({ "/a.scope": 10 });
  });

  it("counts the memory peak once for each report", () => {
    const counts = zeroCounts(REAPER_METRICS);
    countUsage(counts, job, usage(0, 100), undefined);
    countUsage(counts, job, usage(0, 110), usage(0, 100));
    countUsage(counts, job, usage(0, 120, 2), usage(0, 110));
    const { "/a.scope": peaks } = counts.scopeMemoryPeakBytes;
    expect(peaks?.sum).toBe(220);
    expect(peaks?.counts[0]).toBe(2);
  });

  it("counts bytes, kills and refused forks if the kernel has figures", () => {
    const counts = zeroCounts(REAPER_METRICS);
    const figures = { ioReadBytes: 5, ioWriteBytes: 1, memoryEventsOomKill: 2, pidsEventsMax: 7 };
    countUsage(counts, job, { ...usage(0), ...figures }, undefined);
    const more = { ioReadBytes: 9, ioWriteBytes: 4, memoryEventsOomKill: 3, pidsEventsMax: 7 };
    countUsage(counts, job, { ...usage(0), ...more }, { ...usage(0), ...figures });
    expect(counts).toMatchObject({
      scopeReadBytes: { "/a.scope": 9 },
      scopeWrittenBytes: { "/a.scope": 4 },
      scopeOomKills: { "/a.scope": 3 },
      scopeRefusedForks: { "/a.scope": 7 },
    });
    forgetScope(counts, scope);
    expect(counts.scopeOomKills).toEqual({ "(gone)": 3 });
  });

  it("does not take a missing figure for 0", () => {
    const counts = zeroCounts(REAPER_METRICS);
    countUsage(counts, job, usage(7e6), undefined);
    expect(counts.scopeCpuSeconds).toEqual({ "/a.scope": 7 });
    expect(counts.scopeMemoryPeakBytes).toEqual({});
  });
});

describe("forgetScope", () => {
  it("keeps the sums of scopes that are gone, but not a series for each", () => {
    const counts = zeroCounts(REAPER_METRICS);
    for (let i = 0; i < 1000; i++) {
      const gone = new TreeNode<Place>(root, bytesOfText(`${i}.scope`), { kind: "scope" }, 5);
      const once = new TreeNode<Place>(gone, bytesOfText("job"), { kind: "cgroup" }, 6);
      countUsage(counts, once, usage(2e6, 100), undefined);
      forgetScope(counts, gone);
    }
    countUsage(counts, job, usage(5e6), undefined);
    forgetScope(counts, new TreeNode<Place>(root, bytesOfText("x"), { kind: "scope" }, 7));
    expect(counts.scopeCpuSeconds).toEqual({ "(gone)": 2000, "/a.scope": 5 });
    expect(Object.keys(counts.scopeMemoryPeakBytes)).toEqual(["(gone)"]);
    expect(counts.scopeMemoryPeakBytes["(gone)"]).toMatchObject({ sum: 100_000 });
    expect(counts.scopeMemoryPeakBytes["(gone)"]?.counts[0]).toBe(1000);
  });
});
