/**
 * Shares calls between callers: all who ask while a call runs share the next one, so that each
 * gets the result of a call that began after it asked. Any number of callers at once cause at
 * most two calls. Callers that ask again and again get the latest result without waiting.
 */
export class SharedCall<T> {
  readonly #work: () => Promise<T>;
  readonly #burst: number;
  readonly #perSecond: number;
  #running: Promise<T> | undefined;
  #next: Promise<T> | undefined;
  #last: Promise<T> | undefined;
  /** The number of calls that may begin at the time below; it grows by #perSecond each second. */
  #allowed: number;
  #allowedMs = performance.now();

  /**
   * @param burst the number of calls that may begin in a row
   * @param perSecond the number of calls per second after that
   */
  constructor(work: () => Promise<T>, burst: number, perSecond: number) {
    this.#work = work;
    this.#burst = burst;
    this.#allowed = burst;
    this.#perSecond = perSecond;
  }

  /**
   * Returns the result of a call that begins later, or of the latest one if it is too early for
   * another call.
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
