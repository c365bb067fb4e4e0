/**
 * One call for all who ask while another one runs: each gets what a call gives that has begun
 * after it asked. So many who ask at once cost no more than two calls. Those who ask again and again
 * get what the last one gave, and wait for nothing.
 */
export class SharedCall<T> {
  readonly #work: () => Promise<T>;
  readonly #burst: number;
  readonly #perSecond: number;
  #running: Promise<T> | undefined;
  #next: Promise<T> | undefined;
  #last: Promise<T> | undefined;
  /** How many calls may begin now, at the time below: as many more each second. */
  #allowed: number;
  #allowedMs = performance.now();

  /**
   * @param burst how many calls may begin in a row
   * @param perSecond how many of them after that
   */
  constructor(work: () => Promise<T>, burst: number, perSecond: number) {
    this.#work = work;
    this.#burst = burst;
    this.#allowed = burst;
    this.#perSecond = perSecond;
  }

  /**
   * Returns the result of a call that begins later, or of the latest one if it is too early
   * for another.
   */
  get(): Promise<T> {
    if (this.#next !== undefined) return this.#next;
    if (!this.#mayBegin() && this.#last !== undefined) return this.#last;
    if (this.#running === undefined) return this.#start();
    const begin = () => {
      this.#next = undefined;
      return this.#start();
    };
    this.#next = this.#running.then(begin, begin);
    return this.#next;
  }

  #mayBegin(): boolean {
    const nowMs = performance.now();
    const more = ((nowMs - this.#allowedMs) / 1000) * this.#perSecond;
    this.#allowed = Math.min(this.#burst, this.#allowed + more);
    this.#allowedMs = nowMs;
    return this.#allowed >= 1;
  }

  #start(): Promise<T> {
    this.#allowed -= 1;
    const running = this.#work().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    this.#last = running;
    return running;
  }
}
