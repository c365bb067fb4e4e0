/** How many strangers are answered in a second: a flood of them gets no more of the daemon's time. */
const PERIOD_MS = 1000;
export const STRANGERS = 1000;

/** Counts strangers whose connections have ended, since those that stay cost nothing. Pure. */
export class StrangerBudget {
  #startMs = Number.NEGATIVE_INFINITY;
  #count = 0;

  /** The connection of a stranger has ended. @param nowMs of the monotonic clock */
  spend(nowMs: number): void {
    if (nowMs - this.#startMs >= PERIOD_MS) {
      this.#startMs = nowMs;
      this.#count = 0;
    }
    this.#count++;
  }

  /** Whether the next one is not to be looked at. */
  isSpent(nowMs: number): boolean {
    return this.#count >= STRANGERS && nowMs - this.#startMs < PERIOD_MS;
  }
}
