/**
 * How much of what a script says reaches the log. Notices and errors are the only messages
 * that a host may send unasked, so that they alone can become a flood.
 *
 * Time is counted in windows; the first text of each begins it, so that no timer runs. Pure.
 */

const WINDOW_MS = 10_000;
/** In a window these go into the log; what is beyond them is counted. */
const MAX_TEXTS = 1000;
const MAX_BYTES = 1024 * 1024;
/** Who says so much in a window is no script that has something to say. */
const FLOOD_TEXTS = 100_000;
const FLOOD_BYTES = 64 * 1024 * 1024;

export class TextBudget {
  #beginMs = Number.NEGATIVE_INFINITY;
  #texts = 0;
  #bytes = 0;
  #leftOut = 0;

  /** @returns whether a text may go into the log, or that there are so many that it must end */
  take(bytes: number, nowMs: number): "passes" | "left out" | "flood" {
    if (nowMs - this.#beginMs >= WINDOW_MS) {
      this.#beginMs = nowMs;
      this.#texts = 0;
      this.#bytes = 0;
    }
    this.#texts++;
    this.#bytes += bytes;
    if (this.#texts > FLOOD_TEXTS || this.#bytes > FLOOD_BYTES) return "flood";
    if (this.#texts <= MAX_TEXTS && this.#bytes <= MAX_BYTES) return "passes";
    this.#leftOut++;
    return "left out";
  }

  /** Returns how many were left out since the last time, if it is time to say so. */
  takeLeftOut(nowMs: number): number | undefined {
    if (this.#leftOut === 0 || nowMs - this.#beginMs < WINDOW_MS) return undefined;
    return this.takeAllLeftOut();
  }

  /** The same at the end, when nothing more comes. */
  takeAllLeftOut(): number {
    const count = this.#leftOut;
    this.#leftOut = 0;
    return count;
  }
}
