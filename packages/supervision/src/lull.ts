/**
 * Calls a function when work has come to rest, and once more if it stays at rest. Afterwards there
 * is no timer, so that an idle process is not woken; during work a timer expires every `quietMs`.
 */

/** Calls `call` once, after `delayMs`. */
export type After = (delayMs: number, call: () => void) => void;

/** Uses a timer that does not keep the process alive. */
const afterUnref: After = (delayMs, call) => {
  setTimeout(call, delayMs).unref();
};

export class Lull {
  readonly #quietMs: number;
  readonly #run: () => void;
  readonly #after: After;
  #isWaiting = false;
  #hasWorked = false;

  /**
   * @param run called when there was no work for `quietMs`, or up to twice as long, and again
   *   `quietMs` later
   * @param after sets the timer; given by a thread that has no timers of Node
   */
  constructor(quietMs: number, run: () => void, after: After = afterUnref) {
    this.#quietMs = quietMs;
    this.#run = run;
    this.#after = after;
  }

  /** Notes that there is work; cheap enough to be called for each piece of it. */
  worked(): void {
    this.#hasWorked = true;
    if (!this.#isWaiting) this.#wait("first");
  }

  #wait(turn: "first" | "second"): void {
    this.#isWaiting = true;
    this.#hasWorked = false;
    this.#after(this.#quietMs, () => {
      this.#isWaiting = false;
      if (this.#hasWorked) {
        this.#wait("first");
        return;
      }
      this.#run();
      // The function itself may have noted work.
      if (turn === "first" && !this.#isWaiting) this.#wait("second");
    });
  }
}
