/** Sums over all that has run in each scope. */
import type { CgroupSnapshot } from "@cm4all/cgroup";
import { textOf } from "@cm4all/linux";
import { addHistogram, emptyHistogram, observe } from "../metrics/histogram.ts";
import { REAPER_METRICS, type ReaperCounts } from "./metrics.ts";
import type { Place } from "./scopes.ts";
import type { TreeNode } from "./tree-node.ts";

/** Stands for all scopes that are gone: a glob can match ever new ones. */
export const GONE_SCOPES = "(gone)";

/**
 * Counts what a cgroup has used since it was counted before, and its peak of memory once a
 * report. Only those directly below a scope count: the kernel's figures include everything
 * deeper.
 */
export function countUsage(
  { scopeCpuSeconds, scopeMemoryPeakBytes }: ScopeCounts,
  { parent }: TreeNode<Place>,
  now: CgroupSnapshot,
  before: CgroupSnapshot | undefined,
): void {
  if (parent?.place.kind !== "scope") return;
  const scope = textOf(parent.path);
  const usec = (now.cpuTotalUsec ?? 0) - (before?.cpuTotalUsec ?? 0);
  scopeCpuSeconds[scope] = (scopeCpuSeconds[scope] ?? 0) + usec / 1e6;
  // Undefined without the memory controller.
  if (now.memoryPeakBytes === undefined || now.report === before?.report) return;
  scopeMemoryPeakBytes[scope] ??= emptyHistogram(REAPER_METRICS.scopeMemoryPeakBytes.bounds);
  observe(scopeMemoryPeakBytes[scope], now.memoryPeakBytes);
}

/** Forgets a scope that is gone; the sums over all scopes stay. */
export function forgetScope(
  { scopeCpuSeconds, scopeMemoryPeakBytes }: ScopeCounts,
  { path }: TreeNode<Place>,
): void {
  const scope = textOf(path);
  const seconds = scopeCpuSeconds[scope];
  if (seconds !== undefined) {
    scopeCpuSeconds[GONE_SCOPES] = (scopeCpuSeconds[GONE_SCOPES] ?? 0) + seconds;
    delete scopeCpuSeconds[scope];
  }
  const peaks = scopeMemoryPeakBytes[scope];
  if (peaks === undefined) return;
  scopeMemoryPeakBytes[GONE_SCOPES] ??= emptyHistogram(REAPER_METRICS.scopeMemoryPeakBytes.bounds);
  addHistogram(scopeMemoryPeakBytes[GONE_SCOPES], peaks);
  delete scopeMemoryPeakBytes[scope];
}

export type ScopeCounts = Pick<ReaperCounts, "scopeCpuSeconds" | "scopeMemoryPeakBytes">;
