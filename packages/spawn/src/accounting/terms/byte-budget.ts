/** Bounds how many bytes wait for something: who comes later waits until there is room. Pure. */
export class ByteBudget {
  readonly #bytes: number;
  #taken = 0;
  /** Whether somebody was let in who has not taken anything yet. */
  #isAdmitting = false;
  readonly #waiting: (() => void)[] = [];

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  get hasRoom(): boolean {
    return this.#taken < this.#bytes;
  }

  /** Returns when there is room. The caller calls `take` at once then. */
  async room(): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Takes room, if there was any: the last one may take more than there is. */
  take(bytes: number): void {
    this.#taken += bytes;
    this.#isAdmitting = false;
    this.#admit();
  }

  /** Gives back what was taken, and lets in who waits for it. */
  giveBack(bytes: number): void {
    this.#taken -= bytes;
    this.#admit();
  }

  /** One after the other: how much each takes is known when it has. */
  #admit(): void {
    if (!this.hasRoom || this.#isAdmitting) return;
    const next = this.#waiting.shift();
    this.#isAdmitting = next !== undefined;
    next?.();
  }
}
