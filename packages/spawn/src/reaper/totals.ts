/** Sums up, for each scope, the usage of all cgroups that have run in it. */
import type { CgroupSnapshot, CgroupUsage } from "@cm4all/cgroup";
import { textOf } from "@cm4all/linux";
import { addHistogram, emptyHistogram, observe } from "../metrics/histogram.ts";
import { REAPER_METRICS, type ReaperCounts } from "./metrics.ts";
import type { Place } from "./scopes.ts";
import type { TreeNode } from "./tree-node.ts";

/** Stands for all scopes that are gone: over time, a glob can match any number of scopes. */
export const GONE_SCOPES = "(gone)";

/**
 * For each sum, the function that returns what a cgroup adds to it, or undefined if the kernel has
 * no such figure.
 */
const SUMS = {
  scopeCpuSeconds: ({ cpuTotalUsec = 0 }) => cpuTotalUsec / 1e6,
  scopeReadBytes: ({ ioReadBytes }) => ioReadBytes,
  scopeWrittenBytes: ({ ioWriteBytes }) => ioWriteBytes,
  scopeOomKills: ({ memoryEventsOomKill }) => memoryEventsOomKill,
  scopeRefusedForks: ({ pidsEventsMax }) => pidsEventsMax,
} as const satisfies { readonly [key: string]: (usage: CgroupUsage) => number | undefined };

type SumKey = keyof typeof SUMS;

const SUM_KEYS = Object.keys(SUMS) as SumKey[];

/** The counters that have a value for each scope. */
export type ScopeCounts = Pick<ReaperCounts, SumKey | "scopeMemoryPeakBytes">;

/**
 * Counts what a cgroup has used since it was last counted, and its memory peak once for each
 * report. Only cgroups directly below a scope are counted, because their figures include
 * everything below them.
 */
export function countUsage(
  counts: ScopeCounts,
  { parent }: TreeNode<Place>,
  now: CgroupSnapshot,
  before: CgroupSnapshot | undefined,
): void {
  if (parent?.place.kind !== "scope") return;
  const scope = textOf(parent.path);
  for (const key of SUM_KEYS) {
    const figure = SUMS[key](now);
    if (figure !== undefined)
      add(counts[key], scope, figure - (before === undefined ? 0 : (SUMS[key](before) ?? 0)));
  }
  // The peak is undefined without the memory controller.
  if (now.memoryPeakBytes === undefined || now.report === before?.report) return;
  const { scopeMemoryPeakBytes } = counts;
  scopeMemoryPeakBytes[scope] ??= emptyHistogram(REAPER_METRICS.scopeMemoryPeakBytes.bounds);
  observe(scopeMemoryPeakBytes[scope], now.memoryPeakBytes);
}

/** Forgets a scope that is gone. The sums over all scopes stay. */
export function forgetScope(counts: ScopeCounts, { path }: TreeNode<Place>): void {
  const scope = textOf(path);
  for (const key of SUM_KEYS) {
    const sum = counts[key][scope];
    if (sum === undefined) continue;
    add(counts[key], GONE_SCOPES, sum);
    delete counts[key][scope];
  }
  const { scopeMemoryPeakBytes } = counts;
  const peaks = scopeMemoryPeakBytes[scope];
  if (peaks === undefined) return;
  scopeMemoryPeakBytes[GONE_SCOPES] ??= emptyHistogram(REAPER_METRICS.scopeMemoryPeakBytes.bounds);
  addHistogram(scopeMemoryPeakBytes[GONE_SCOPES], peaks);
  delete scopeMemoryPeakBytes[scope];
}

function add(sums: Record<string, number>, scope: string, amount: number): void {
  sums[scope] = (sums[scope] ?? 0) + amount;
}
