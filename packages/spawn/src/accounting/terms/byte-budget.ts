/** Bounds how many bytes are held at a time: callers wait in turn until there is room. */
export class ByteBudget {
  readonly #bytes: number;
  #taken = 0;
  /** True while a caller has been let in and has not taken its bytes yet. */
  #isAdmitting = false;
  readonly #waiting: (() => void)[] = [];

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  get hasRoom(): boolean {
    return this.#taken < this.#bytes;
  }

  /**
   * Resolves when there is room again. The caller has seen that there is none, and calls `take` as
   * soon as this promise resolves.
   */
  async room(): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Takes bytes. The caller has seen that there is room, but may take more than is left. */
  take(bytes: number): void {
    this.#taken += bytes;
    this.#isAdmitting = false;
    this.#admit();
  }

  /** Gives bytes back, and lets in the next caller that waits. */
  giveBack(bytes: number): void {
    this.#taken -= bytes;
    this.#admit();
  }

  /**
   * Lets in one caller at a time, because how many bytes a caller needs is known only when it takes
   * them.
   */
  #admit(): void {
    if (!this.hasRoom || this.#isAdmitting) return;
    const next = this.#waiting.shift();
    this.#isAdmitting = next !== undefined;
    next?.();
  }
}
