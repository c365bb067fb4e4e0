import { fstatSync } from "node:fs";
import { Fd } from "@cm4all/linux";

/**
 * A descriptor from the daemon: that of a namespace, or the write end of a lease's pipe. It is
 * closed by `close`, at the end of a `using` block, or with its `Grant`. It is close-on-exec, so
 * a child process gets it only if it is passed on purpose.
 */
export class Handle {
  readonly #fd: Fd;
  readonly #inode: number;

  /** Takes ownership of the descriptor `fd`. */
  constructor(fd: number) {
    this.#fd = new Fd(fd);
    this.#inode = fstatSync(fd).ino;
  }

  /** The number of the descriptor. @throws Error if it is closed */
  get fd(): number {
    return this.#fd.number;
  }

  /**
   * The inode number. Two namespace handles of the same type refer to the same namespace if their
   * inode numbers are equal.
   * @see namespaces(7)
   */
  get inode(): number {
    return this.#inode;
  }

  /** Closes the descriptor; a second call has no effect. */
  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
