import { setTimeout as sleep } from "node:timers/promises";

/** Says how many calls may begin: an Allowance. */
interface CallAllowance {
  /** @param nowMs milliseconds of the monotonic clock */
  tryTake(nowMs: number): boolean;
  waitMs(nowMs: number): number;
}

/**
 * Shares calls between callers: all who ask while a call runs, or before the next one may begin,
 * share the next one, so that each caller gets the result of a call that began after the caller
 * asked. Any number of callers at once cause at most two calls. If too many wait, further ones
 * share the latest call, which may be over.
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
   * @param allowance the number of calls that may begin
   * @param maxWaiting the number of callers that may wait for the next call
   */
  constructor(work: () => Promise<T>, allowance: CallAllowance, maxWaiting: number) {
    this.#work = work;
    this.#allowance = allowance;
    this.#maxWaiting = maxWaiting;
  }

  /** Returns the result of a call that begins now or later; of the latest call if too many wait. */
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
    // If the running call fails, its own callers are told.
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
