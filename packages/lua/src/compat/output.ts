/** The output of `print` and `io.write`. */
import { writeSync } from "node:fs";

/** Collects text and writes it in whole lines, like a C stream with line buffering. */
export class LineOutput {
  #pending = "";
  readonly #write: (text: string) => void;

  /** @param write takes a binary string; blocks until all of it is written, and may throw */
  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /**
   * Adds text and writes complete lines.
   * @throws what the constructor's `write` throws; the text is then lost, as in C's stdio
   */
  write(text: string): void {
    this.#pending += text;
    const end = this.#pending.lastIndexOf("\n") + 1;
    // A script that never ends its line must not fill the memory.
    if (end > 0 || this.#pending.length > 65536) this.#emit(end > 0 ? end : this.#pending.length);
  }

  /** Writes an incomplete line, too. @throws what the constructor's `write` throws */
  flush(): void {
    if (this.#pending !== "") this.#emit(this.#pending.length);
  }

  #emit(length: number): void {
    const text = this.#pending.slice(0, length);
    this.#pending = this.#pending.slice(length);
    this.#write(text);
  }
}

/** Performs an operation whose output may be lost without an error, as in C's stdio. */
export function mayLoseOutput(operation: () => void): void {
  try {
    operation();
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the thread. */
export function sleepSync(milliseconds: number): void {
  Atomics.wait(pause, 0, 0, milliseconds);
}

/**
 * Writes some bytes to a descriptor, waiting while a pipe is full.
 * @param position in the file; without it, the position of the descriptor
 * @returns the number of bytes that were written
 */
export function writeSome(fd: number, bytes: Buffer, position?: number): number {
  for (;;) {
    try {
      return writeSync(fd, bytes, 0, bytes.length, position ?? null);
    } catch (error) {
      // Another process has made the pipe non-blocking, and the pipe is full.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      sleepSync(5);
    }
  }
}

/** Writes a whole binary string or buffer at the position of the descriptor. */
export function writeFully(fd: number, data: string | Buffer): void {
  let rest = typeof data === "string" ? Buffer.from(data, "latin1") : data;
  while (rest.length > 0) rest = rest.subarray(writeSome(fd, rest));
}
