/** Waits until it is known whether the script that was configured last can be used. */
export class Loading {
  #isOn = false;
  readonly #waiting: (() => void)[] = [];

  /** Notes that a script is being loaded. */
  begin(): void {
    this.#isOn = true;
  }

  /** It is known. */
  end(): void {
    this.#isOn = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Returns whether it is known after `timeoutMs` at the latest. */
  async ended(timeoutMs: number): Promise<boolean> {
    if (!this.#isOn) return true;
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }
}
