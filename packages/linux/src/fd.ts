import { closeSync } from "node:fs";
import { EINTR } from "./errno.ts";
import { check } from "./errors.ts";
import { cheapCall } from "./libc.ts";

const cheapClose = cheapCall("close", 1);

function close(fd: number): void {
  if (cheapClose === undefined) closeSync(fd);
  else {
    const result = cheapClose(fd);
    if (result !== -EINTR) check(result, "close", { fd });
  }
}

/**
 * A file descriptor with one owner, which closes it exactly once, with `close` or at the end of a
 * `using` block, or passes ownership on with `release`.
 */
export class Fd {
  #number: number | undefined;

  /** Takes ownership of `number`. */
  constructor(number: number) {
    if (!Number.isInteger(number) || number < 0)
      throw new RangeError(`not a file descriptor: ${number}`);
    this.#number = number;
  }

  get isOpen(): boolean {
    return this.#number !== undefined;
  }

  /**
   * Returns the number.
   * @throws Error if the descriptor is closed or released, because the number may belong to
   *   another file
   */
  get number(): number {
    if (this.#number === undefined) throw new Error("the file descriptor is closed");
    return this.#number;
  }

  /** Closes the descriptor; a second call has no effect. @see close(2) */
  close(): void {
    const number = this.#number;
    if (number === undefined) return;
    // Linux frees the number even if close(2) reports an error.
    this.#number = undefined;
    close(number);
  }

  /** Gives up ownership of the descriptor and returns its number. The caller closes it. */
  release(): number {
    const number = this.number;
    this.#number = undefined;
    return number;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
