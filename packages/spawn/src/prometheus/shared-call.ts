/**
 * One call for all who ask while another one runs: each gets what a call gives that has begun
 * after it asked. So many who ask at once cost no more than two calls.
 */
export class SharedCall<T> {
  readonly #work: () => Promise<T>;
  #running: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  get(): Promise<T> {
    if (this.#running === undefined) return this.#start();
    const begin = () => {
      this.#next = undefined;
      return this.#start();
    };
    this.#next ??= this.#running.then(begin, begin);
    return this.#next;
  }

  #start(): Promise<T> {
    const running = this.#work().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
