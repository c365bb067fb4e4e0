/** Tracks whether a script is being loaded, and waits until it is loaded or found unusable. */
export class Loading {
  #isOn = false;
  readonly #waiting: (() => void)[] = [];

  /** Notes that a script is being loaded. */
  begin(): void {
    this.#isOn = true;
  }

  /** Notes that the script is loaded or unusable. */
  end(): void {
    this.#isOn = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Waits up to `timeoutMs` for loading to end. Returns true if it has ended. */
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
