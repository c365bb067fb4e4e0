/**
 * Shares the time of a thread between kinds of work, each of which may have more to do than can
 * be done quickly. Each kind does one step in turn; after a while the event loop gets its turn,
 * so that nothing else on the loop is kept waiting.
 */
import type { EventLoop } from "../thread/event-loop.ts";

/**
 * The time after which the event loop gets its turn, in milliseconds. A step under way is finished
 * first.
 */
export const TURN_MS = 50;

/** Does one step of its work. Returns false if there was nothing to do. */
export type Step = () => boolean;

export class Turns {
  readonly #loop: Pick<EventLoop, "after">;
  readonly #steps: readonly Step[];
  readonly #endTurn: () => void;
  readonly #nowMs: () => number;
  #isAwake = false;

  /** @param endTurn called each time before the event loop continues */
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

  /** Begins to work, because there is something to do. */
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
