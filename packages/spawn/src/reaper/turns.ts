/**
 * Shares a thread's time between kinds of work, of each of which there may be more than
 * ends soon. Each in turn does a step; after a while the event loop gets its turn, so that
 * the others on it are never kept waiting.
 */
import type { EventLoop } from "../thread/event-loop.ts";

/** How long the work goes on until others are let in. A step that has begun is ended. */
export const TURN_MS = 50;

/** Does a little of its work. Returns false if there was nothing to do. */
export type Step = () => boolean;

export class Turns {
  readonly #loop: Pick<EventLoop, "after">;
  readonly #steps: readonly Step[];
  readonly #endTurn: () => void;
  readonly #nowMs: () => number;
  #isAwake = false;

  /** @param endTurn called at the end of each turn */
  constructor(
    loop: Pick<EventLoop, "after">,
    steps: readonly Step[],
    endTurn: () => void,
    nowMs: () => number,
  ) {
    this.#loop = loop;
    this.#steps = steps;
    this.#endTurn = endTurn;
    this.#nowMs = nowMs;
  }

  /** There is something to do. */
  wake(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    this.#loop.after(0, () => this.#turn());
  }

  #turn(): void {
    const endMs = this.#nowMs() + TURN_MS;
    let isBusy: boolean;
    do {
      isBusy = false;
      for (const step of this.#steps) if (step()) isBusy = true;
    } while (isBusy && this.#nowMs() < endMs);
    this.#isAwake = false;
    if (isBusy) this.wake();
    this.#endTurn();
  }
}
