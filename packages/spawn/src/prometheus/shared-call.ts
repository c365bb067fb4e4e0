import { setTimeout as sleep } from "node:timers/promises";

/** Limits how many calls may begin; `Allowance` is an implementation. */
interface CallAllowance {
  /** @param nowMs milliseconds of the monotonic clock */
  tryTake(nowMs: number): boolean;
  waitMs(nowMs: number): number;
}

/**
 * Shares calls between callers. All who ask while a call is running, or before the next call may
 * begin, share the next call; so each caller gets the result of a call that began after the caller
 * had asked. There is one exception: if too many callers wait, further callers share the latest
 * call, which may have ended already. However many callers ask at the same time, they cause at most
 * two calls.
 */
export class SharedCall<T> {
  readonly #work: () => Promise<T>;
  readonly #allowance: CallAllowance;
  readonly #maxWaiting: number;
  #waiting = 0;
  #last: Promise<T> | undefined;
  #running: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  /**
   * @param allowance limits how many calls may begin
   * @param maxWaiting the number of callers that may wait for the next call
   */
  constructor(work: () => Promise<T>, allowance: CallAllowance, maxWaiting: number) {
    this.#work = work;
    this.#allowance = allowance;
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Returns the result of a call that begins now or later; if too many callers wait, returns the
   * result of the latest call.
   */
  get(): Promise<T> {
    if (this.#waiting >= this.#maxWaiting && this.#last !== undefined) return this.#last;
    if (this.#next !== undefined) {
      this.#waiting++;
      return this.#next;
    }
    if (this.#running === undefined && this.#allowance.tryTake(performance.now()))
      return this.#start();
    this.#waiting = 1;
    this.#next = this.#startLater();
    return this.#next;
  }

  async #startLater(): Promise<T> {
    // If the running call fails, its own callers get the error.
    await this.#running?.catch(() => {});
    for (;;) {
      const nowMs = performance.now();
      if (this.#allowance.tryTake(nowMs)) break;
      await sleep(this.#allowance.waitMs(nowMs), undefined, { ref: false });
    }
    this.#next = undefined;
    this.#waiting = 0;
    return this.#start();
  }

  #start(): Promise<T> {
    const running = this.#work().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    this.#last = running;
    return running;
  }
}
