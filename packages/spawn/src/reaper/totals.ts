/** Sums over all that has run in each scope. */

import type { CgroupUsage } from "@cm4all/cgroup";
import type { ByteString } from "@cm4all/linux";
import type { Place } from "./scopes.ts";
import type { TreeNode } from "./tree-watch.ts";

/** What has run in a scope: sums over the cgroups directly below it, which include theirs. */
export interface ScopeTotals {
  readonly path: ByteString;
  readonly cpuUsec: number;
  /** The sum of each one's peak; undefined without the memory controller. */
  readonly memoryPeakBytes: number | undefined;
}

export class Totals {
  readonly #scopes = new Map<
    ByteString,
    { cpuUsec: number; memoryPeakBytes: number | undefined }
  >();

  /**
   * Adds what a cgroup has used since its last report. Only those directly below a scope
   * count: the kernel's figures include everything deeper.
   */
  add({ parent }: TreeNode<Place>, now: CgroupUsage, before: CgroupUsage | undefined): void {
    if (parent?.place.kind !== "scope") return;
    let totals = this.#scopes.get(parent.path);
    if (totals === undefined) {
      totals = { cpuUsec: 0, memoryPeakBytes: undefined };
      this.#scopes.set(parent.path, totals);
    }
    totals.cpuUsec += (now.cpuTotalUsec ?? 0) - (before?.cpuTotalUsec ?? 0);
    if (now.memoryPeakBytes !== undefined)
      totals.memoryPeakBytes =
        (totals.memoryPeakBytes ?? 0) + now.memoryPeakBytes - (before?.memoryPeakBytes ?? 0);
  }

  list(): ScopeTotals[] {
    return [...this.#scopes].map(([path, totals]) => ({ path, ...totals }));
  }
}
