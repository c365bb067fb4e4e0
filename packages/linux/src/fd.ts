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
 * A file descriptor with one owner, who closes it exactly once: by `close`, at the
 * end of a `using` block, or by giving it away with `release`.
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

  /** @throws Error when closed or released: its number may belong to something else. */
  get number(): number {
    if (this.#number === undefined) throw new Error("the file descriptor is closed");
    return this.#number;
  }

  /** Closes it; without effect the second time. @see close(2) */
  close(): void {
    const number = this.#number;
    if (number === undefined) return;
    // Linux frees the number even where close(2) reports an error.
    this.#number = undefined;
    close(number);
  }

  /** Gives up the ownership: the caller closes the descriptor. */
  release(): number {
    const number = this.number;
    this.#number = undefined;
    return number;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
