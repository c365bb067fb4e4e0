/** Sums over all that has run in each scope. */

import type { Measured } from "./lifecycle.ts";
import type { ScopeTotals } from "./messages.ts";
import type { Place } from "./scopes.ts";
import type { TreeNode } from "./tree-watch.ts";

export class Totals {
  readonly #scopes = new Map<string, { cpuUsec: number; memoryPeakBytes: number | undefined }>();

  /**
   * Adds what a cgroup has used since its last report. Only those directly below a scope
   * count: the kernel's figures include everything deeper.
   */
  add({ parent }: TreeNode<Place>, now: Measured, before: Measured | undefined): void {
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
