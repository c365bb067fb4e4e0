/** A limit for whatever a test waits for, so that what hangs says so, and is cleaned up after. */
import { setTimeout as delay } from "node:timers/promises";

/** Far above what anything takes on a busy machine, and below the limit of a test. */
export const PATIENCE_MS = 20_000;

/**
 * Returns what `awaited` gives. It goes on if it takes longer: whoever started it ends it.
 * @param what completes "waited in vain until"; a function is asked when the time is over
 * @throws Error when the time is over
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
    // Nobody looks at it any more.
    late.catch(() => {});
  }
}
