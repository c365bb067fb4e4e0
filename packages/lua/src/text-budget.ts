/**
 * Limits the messages of a script that reach the log. Notices and errors are the only messages
 * that a script host may send unasked more than once, so only they can become a flood.
 *
 * Time is divided into windows. The first message of a window begins it, so that no timer is
 * needed. Pure.
 */

const WINDOW_MS = 10_000;
/** The number of messages that go into the log in a window; further ones are only counted. */
const MAX_TEXTS = 1000;
const MAX_BYTES = 1024 * 1024;
/** No script has a good reason to send more messages than this in a window. */
const FLOOD_TEXTS = 100_000;
const FLOOD_BYTES = 64 * 1024 * 1024;

export class TextBudget {
  #beginMs = Number.NEGATIVE_INFINITY;
  #texts = 0;
  #bytes = 0;
  #leftOut = 0;

  /**
   * Counts a message.
   * @returns whether it may go into the log, is left out, or is part of a flood, in which case the
   * script host is to be ended
   */
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

  /** Returns how many messages were left out since the last report, if a report is due. */
  takeLeftOut(nowMs: number): number | undefined {
    if (this.#leftOut === 0 || nowMs - this.#beginMs < WINDOW_MS) return undefined;
    return this.takeAllLeftOut();
  }

  /**
   * Returns how many messages were left out since the last report, even if no report is due: for
   * use when the script host has ended.
   */
  takeAllLeftOut(): number {
    const count = this.#leftOut;
    this.#leftOut = 0;
    return count;
  }
}
