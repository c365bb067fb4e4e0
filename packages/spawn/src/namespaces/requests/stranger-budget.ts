/**
 * The period of the budget, in milliseconds. The budget limits the share of the daemon's time that
 * a flood of strangers gets. (A stranger is explained at `isStranger` in clients.ts.)
 */
const PERIOD_MS = 1000;
/**
 * The number of strangers whose connections may end in each period before further strangers are
 * turned away unserved.
 */
export const STRANGERS = 1000;

/** Counts strangers whose connections have ended; strangers that stay cost nothing. */
export class StrangerBudget {
  #startMs = Number.NEGATIVE_INFINITY;
  #count = 0;

  /**
   * Notes that the connection of a stranger has ended.
   * @param nowMs milliseconds of the monotonic clock
   */
  spend(nowMs: number): void {
    if (nowMs - this.#startMs >= PERIOD_MS) {
      this.#startMs = nowMs;
      this.#count = 0;
    }
    this.#count++;
  }

  /** Returns whether the next stranger is turned away unserved. */
  isSpent(nowMs: number): boolean {
    return this.#count >= STRANGERS && nowMs - this.#startMs < PERIOD_MS;
  }
}
