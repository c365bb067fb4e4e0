/**
 * Calls something once when work has come to rest. While nothing is worked there is no timer,
 * so an idle process is not woken; while work goes on there is one for each `quietMs`.
 */

/** Calls `run` once, after `delayMs`. */
export type After = (delayMs: number, run: () => void) => void;

/** Keeps no process alive. */
const afterUnref: After = (delayMs, run) => {
  setTimeout(run, delayMs).unref();
};

export class Lull {
  readonly #quietMs: number;
  readonly #run: () => void;
  readonly #after: After;
  #isWaiting = false;
  #hasWorked = false;

  /**
   * @param run called when nothing has been worked for `quietMs`, or up to twice as long
   * @param after for a thread without Node's timers
   */
  constructor(quietMs: number, run: () => void, after: After = afterUnref) {
    this.#quietMs = quietMs;
    this.#run = run;
    this.#after = after;
  }

  /** Something is being worked. Cheap enough for each piece of work. */
  worked(): void {
    this.#hasWorked = true;
    if (!this.#isWaiting) this.#wait();
  }

  #wait(): void {
    this.#isWaiting = true;
    this.#hasWorked = false;
    this.#after(this.#quietMs, () => {
      this.#isWaiting = false;
      if (this.#hasWorked) this.#wait();
      else this.#run();
    });
  }
}
