import { readSync } from "node:fs";
import { type Fd, isErrno } from "@cm4all/linux";
import type { EventLoop } from "../../thread/event-loop.ts";
import type { NameDirectory } from "./name-directory.ts";

/** The leases of one name: the writers of its FIFO. It owns the read end while there are any. */
export class Leases {
  readonly #directory: NameDirectory;
  readonly #loop: EventLoop;
  readonly #closed: () => void;
  #pipe: { readonly reader: Fd; readonly token: number } | undefined;

  /** @param closed is called when the last lease was closed */
  constructor(directory: NameDirectory, loop: EventLoop, closed: () => void) {
    this.#directory = directory;
    this.#loop = loop;
    this.#closed = closed;
  }

  /** Whether there is a lease. */
  get areOpen(): boolean {
    return this.#pipe !== undefined;
  }

  /** A new lease: a write end of the FIFO. The caller owns it. */
  open(): Fd {
    if (this.#pipe !== undefined) return this.#directory.openLease();
    const reader = this.#directory.openLeaseReader();
    let writer: Fd | undefined;
    try {
      writer = this.#directory.openLease();
      this.#watch(reader);
      return writer;
    } catch (error) {
      writer?.close();
      reader.close();
      throw error;
    }
  }

  /** Takes up the leases that an earlier run has given out. */
  restore(): void {
    if (!this.#directory.hasLeasePipe()) return;
    const reader = this.#directory.openLeaseReader();
    if (hasWriters(reader)) this.#watch(reader);
    else reader.close();
  }

  /** Forgets all leases. */
  end(): void {
    if (this.#pipe === undefined) return;
    this.#loop.forget(this.#pipe.token, this.#pipe.reader.number);
    this.#pipe.reader.close();
    this.#pipe = undefined;
  }

  /** @param reader owned from then on, unless it throws */
  #watch(reader: Fd): void {
    const token = this.#loop.watchFirst(reader.number, 0, () => {
      // A new lease may have been given out since the last one was closed.
      if (hasWriters(reader)) return;
      this.end();
      this.#closed();
    });
    this.#pipe = { reader, token };
  }
}

const scratch = Buffer.alloc(64 * 1024);

/** Whether a FIFO has writers. What they wrote, which nobody asked for, is thrown away. */
function hasWriters(reader: Fd): boolean {
  try {
    // More than any pipe holds: then somebody keeps writing.
    for (let i = 0; i < 64; i++) if (readSync(reader.number, scratch) === 0) return false;
    return true;
  } catch (error) {
    if (isErrno(error, "EAGAIN")) return true;
    throw error;
  }
}
