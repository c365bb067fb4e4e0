/** Limits how long a test waits, so that a test that hangs reports it and still cleans up. */
import { setTimeout as delay } from "node:timers/promises";

/**
 * A time, in milliseconds, that is far longer than anything takes on a busy machine, and shorter
 * than the time limit of a test.
 */
export const PATIENCE_MS = 20_000;

/**
 * Returns the result of `awaited`. The awaited work goes on after the time limit; its owner ends
 * it.
 * @param what completes "waited in vain until"; a function is called when the time is up
 * @throws Error when the time is up
 */
export async function inTime<T>(
  awaited: Promise<T>,
  what: string | (() => string),
  timeoutMs = PATIENCE_MS,
): Promise<T> {
  const timer = new AbortController();
  const { signal } = timer;
  const late = delay(timeoutMs, undefined, { signal }).then(() => {
    throw new Error(`waited in vain until ${typeof what === "string" ? what : what()}`);
  });
  try {
    return await Promise.race([awaited, late]);
  } finally {
    timer.abort();
    // The abort rejects `late`, for which nobody waits any more.
    late.catch(() => {});
  }
}
