/**
 * Allows a number of things in a row, and another number per second after that: a token bucket.
 * Reads no clock: the caller passes the time.
 */
export class Allowance {
  readonly #burst: number;
  readonly #perSecond: number;
  /** The number that was left at `#atMs`. */
  #left: number;
  #atMs: number | undefined;

  /**
   * @param burst the number that is allowed in a row
   * @param perSecond the number that is allowed in each second after that
   */
  constructor(burst: number, perSecond: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
  }

  /**
   * Takes one, if one is left. Returns whether one was.
   * @param nowMs milliseconds of a monotonic clock
   */
  tryTake(nowMs: number): boolean {
    this.#left = this.#leftAt(nowMs);
    this.#atMs = nowMs;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  /** Returns how many milliseconds after `nowMs` the next one can be taken. */
  waitMs(nowMs: number): number {
    return Math.max(0, ((1 - this.#leftAt(nowMs)) / this.#perSecond) * 1000);
  }

  #leftAt(nowMs: number): number {
    const passedMs = nowMs - (this.#atMs ?? nowMs);
    return Math.min(this.#burst, this.#left + (passedMs / 1000) * this.#perSecond);
  }
}
