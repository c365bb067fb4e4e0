import { setImmediate, setTimeout } from "node:timers/promises";
import { Backoff, doubling } from "@cm4all/supervision";

/** The time for which an answer is waited for without a timer, which would cost a millisecond. */
const EAGER_MS = 2;
const POLL_PAUSES = doubling(1, 20);

/**
 * Calls `attempt` until it returns a value, with pauses in which the event loop runs.
 *
 * Node watches only descriptors of known types, and not SOCK_SEQPACKET sockets. A thread that
 * blocks instead would keep the process from ending. The daemon answers most requests in a
 * tenth of a millisecond, and the slowest in a few, so that to poll costs less than a thread.
 *
 * @param deadlineMs on the clock of `performance.now()`
 * @returns undefined when the deadline has passed
 */
export async function pollUntil<T>(
  deadlineMs: number,
  attempt: () => T | undefined,
): Promise<T | undefined> {
  const eagerUntilMs = performance.now() + EAGER_MS;
  const backoff = new Backoff(POLL_PAUSES);
  for (;;) {
    const result = attempt();
    if (result !== undefined) return result;
    const nowMs = performance.now();
    if (nowMs >= deadlineMs) return undefined;
    if (nowMs < eagerUntilMs) {
      await setImmediate();
    } else {
      await setTimeout(Math.min(backoff.failed(), deadlineMs - nowMs));
    }
  }
}
