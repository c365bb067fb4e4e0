import { setTimeout as sleep } from "node:timers/promises";
import type { Allowance } from "../sockets/allowance.ts";

/**
 * Shares calls between callers: all who ask while a call runs, or before the next one may begin,
 * share the next one, so that each gets the result of a call that began after it asked. Any number
 * of callers at once cause at most two calls.
 */
export class SharedCall<T> {
  readonly #work: () => Promise<T>;
  readonly #allowance: Allowance;
  #running: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  /** @param allowance the number of calls that may begin; further callers wait */
  constructor(work: () => Promise<T>, allowance: Allowance) {
    this.#work = work;
    this.#allowance = allowance;
  }

  /** Returns the result of a call that begins later. */
  get(): Promise<T> {
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined && this.#allowance.tryTake(performance.now()))
      return this.#start();
    this.#next = this.#startLater();
    return this.#next;
  }

  async #startLater(): Promise<T> {
    // Its failure is that of its own callers.
    await this.#running?.catch(() => {});
    for (;;) {
      const nowMs = performance.now();
      if (this.#allowance.tryTake(nowMs)) break;
      await sleep(this.#allowance.waitMs(nowMs), undefined, { ref: false });
    }
    this.#next = undefined;
    return this.#start();
  }

  #start(): Promise<T> {
    const running = this.#work().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
