import { setImmediate, setTimeout } from "node:timers/promises";
import { Backoff, doubling } from "@cm4all/supervision";

/** The time to wait before timers are used, each of which takes at least a millisecond. */
const EAGER_MS = 2;
const POLL_PAUSES = doubling(1, 20);

/**
 * Calls `attempt` until it returns a value, with pauses in which the event loop runs.
 *
 * Node can watch only some types of descriptors, and SOCK_SEQPACKET sockets are not among them. A
 * thread that blocks until the answer comes would keep the process from ending. The daemon answers
 * most requests in a tenth of a millisecond and the slowest in a few milliseconds, so polling
 * costs less than a thread.
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
