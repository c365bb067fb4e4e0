/** Sums over all that has run in each scope. */
import type { CgroupUsage } from "@cm4all/cgroup";
import { textOf } from "@cm4all/linux";
import { emptyHistogram, observe } from "../metrics/histogram.ts";
import { REAPER_METRICS, type ReaperCounts } from "./metrics.ts";
import type { Place } from "./scopes.ts";
import type { TreeNode } from "./tree-watch.ts";

/**
 * Counts what a cgroup has used since its last report. Only those directly below a scope
 * count: the kernel's figures include everything deeper.
 */
export function countUsage(
  { scopeCpuSeconds, scopeMemoryPeakBytes }: ScopeCounts,
  { parent }: TreeNode<Place>,
  now: CgroupUsage,
  before: CgroupUsage | undefined,
): void {
  if (parent?.place.kind !== "scope") return;
  const scope = textOf(parent.path);
  const usec = (now.cpuTotalUsec ?? 0) - (before?.cpuTotalUsec ?? 0);
  scopeCpuSeconds[scope] = (scopeCpuSeconds[scope] ?? 0) + usec / 1e6;
  // Undefined without the memory controller.
  if (now.memoryPeakBytes === undefined) return;
  scopeMemoryPeakBytes[scope] ??= emptyHistogram(REAPER_METRICS.scopeMemoryPeakBytes.bounds);
  observe(scopeMemoryPeakBytes[scope], now.memoryPeakBytes);
}

export type ScopeCounts = Pick<ReaperCounts, "scopeCpuSeconds" | "scopeMemoryPeakBytes">;
