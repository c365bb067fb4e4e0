import { constants, PerformanceObserver } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";

/**
 * Returns whether `work` made V8 collect all garbage of this thread. Collections that V8 starts by
 * itself, as it may at any time, do not count.
 */
export async function collectsGarbage(work: () => void): Promise<boolean> {
  let isCollected = false;
  const observer = new PerformanceObserver((list) => {
    isCollected ||= list.getEntries().some(isForced);
  });
  observer.observe({ entryTypes: ["gc"] });
  try {
    work();
    // Node passes entries to observers in a later task.
    await delay(0);
    await delay(0);
    return isCollected;
  } finally {
    observer.disconnect();
  }
}

/** Returns whether code has forced the collection. @param entry of the type `gc` */
function isForced(entry: object): boolean {
  const detail = "detail" in entry ? entry.detail : undefined;
  return (
    typeof detail === "object" &&
    detail !== null &&
    "flags" in detail &&
    typeof detail.flags === "number" &&
    (detail.flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) !== 0
  );
}
