/**
 * Calls a function when there has been no work for a while, and once more if none follows. After
 * that there is no timer, so that an idle process is not woken; during work a timer expires every
 * `quietMs`.
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
   * @param run called when there has been no work for `quietMs` to twice `quietMs`, and again
   *   after another `quietMs` without work
   * @param after sets the timer; needed only in a thread that cannot use Node's timers
   */
  constructor(quietMs: number, run: () => void, after: After = afterUnref) {
    this.#quietMs = quietMs;
    this.#run = run;
    this.#after = after;
  }

  /** Notes that there is work; cheap enough to be called for each piece of work. */
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
      // `run` itself may have called `worked`.
      if (turn === "first" && !this.#isWaiting) this.#wait("second");
    });
  }
}
