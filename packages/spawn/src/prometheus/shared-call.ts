import { setTimeout as delay } from "node:timers/promises";

/**
 * One call for all who ask while another one runs, or soon after it has begun: each gets what a
 * call gives that has begun after it asked. So it costs no more, however many ask how often.
 */
export class SharedCall<T> {
  readonly #work: () => Promise<T>;
  readonly #intervalMs: number;
  #running: Promise<T> | undefined;
  #next: Promise<T> | undefined;
  #nextMs = Number.NEGATIVE_INFINITY;

  /** @param intervalMs from the beginning of one call to that of the next, at least */
  constructor(work: () => Promise<T>, intervalMs: number) {
    this.#work = work;
    this.#intervalMs = intervalMs;
  }

  get(): Promise<T> {
    if (this.#running === undefined && this.#pauseMs <= 0) return this.#start();
    this.#next ??= this.#startLater();
    return this.#next;
  }

  get #pauseMs(): number {
    return this.#nextMs - performance.now();
  }

  async #startLater(): Promise<T> {
    // Those who shared it are told of its failure.
    await this.#running?.catch(() => undefined);
    if (this.#pauseMs > 0) await delay(this.#pauseMs);
    this.#next = undefined;
    return await this.#start();
  }

  #start(): Promise<T> {
    this.#nextMs = performance.now() + this.#intervalMs;
    const running = this.#work().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
