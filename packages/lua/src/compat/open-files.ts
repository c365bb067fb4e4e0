/**
 * Files that a script has opened. A file is closed some time after the last reference to it is
 * gone, or at the end of the script.
 */
import { closeSync, fstatSync } from "node:fs";
import { mayLoseOutput, writeSome } from "./output.ts";

/** Returns the error for a file that is closed, or open for the other direction only. */
export function badDescriptor(): Error {
  return Object.assign(new Error("EBADF"), { code: "EBADF", errno: -9 });
}

/** A descriptor and the output that has not been written to it yet. */
export class OpenFile {
  #fd: number | undefined;
  readonly #append: boolean;
  readonly #beforeClose: ((fd: number) => void) | undefined;
  #pending = "";
  /** The position of the next byte to read or write; undefined if this is not a regular file. */
  position: number | undefined;
  /** Grows with each byte that is written to the system, and when a command is run. */
  effectCount = 0;
  /** Called once, when closing begins. */
  onClosed: (() => void) | undefined;

  /**
   * Takes ownership of the descriptor.
   * @param append true if all output goes to the end of the file
   * @param beforeClose called when all output is written, while the descriptor is still open
   */
  constructor(fd: number, append: boolean, beforeClose: ((fd: number) => void) | undefined) {
    this.#fd = fd;
    this.#append = append;
    this.#beforeClose = beforeClose;
    this.position = fstatSync(fd).isFile() ? 0 : undefined;
  }

  get isClosed(): boolean {
    return this.#fd === undefined;
  }

  /** The descriptor. @throws EBADF if it is closed: its number may belong to another file now */
  get fd(): number {
    if (this.#fd === undefined) throw badDescriptor();
    return this.#fd;
  }

  get size(): number {
    return fstatSync(this.fd).size;
  }

  /** Adds output to the buffer. @returns the number of bytes that wait to be flushed */
  write(text: string): number {
    this.#pending += text;
    return this.#pending.length;
  }

  /** Writes the buffer. @throws system errors; then the rest of the buffer is lost */
  flush(): void {
    let rest = Buffer.from(this.#pending, "latin1");
    // Output that cannot be written is lost, as in C's stdio.
    this.#pending = "";
    while (rest.length > 0) {
      const isPlaced = this.position !== undefined && !this.#append;
      const count = writeSome(this.fd, rest, isPlaced ? this.position : undefined);
      if (isPlaced && this.position !== undefined) this.position += count;
      this.effectCount += count;
      rest = rest.subarray(count);
    }
  }

  /**
   * Writes the buffer and closes the file.
   * @throws system errors; the file is closed all the same
   */
  close(): void {
    const fd = this.#fd;
    if (fd === undefined) return;
    this.onClosed?.();
    try {
      this.flush();
      if (this.#beforeClose !== undefined) {
        this.#beforeClose(fd);
        this.effectCount++;
      }
    } finally {
      this.#fd = undefined;
      closeSync(fd);
    }
  }
}

/** The object through which scripts hold a file. */
interface Handle {
  readonly opened: OpenFile;
}

/**
 * Closes files that a script no longer holds, as LuaJIT's collector does; otherwise
 * `io.open(path):read()` in each handler would use up the descriptors. V8 decides when a file is
 * closed.
 */
export class OpenFiles {
  readonly #open = new Set<OpenFile>();
  readonly #forgotten = new FinalizationRegistry<OpenFile>(closeSilently);

  /** Closes the file when nothing refers to its handle any more. */
  own<T extends Handle>(handle: T): T {
    const { opened } = handle;
    this.#open.add(opened);
    opened.onClosed = () => this.#open.delete(opened);
    this.#forgotten.register(handle, opened);
    return handle;
  }

  /** Closes all files, at the end of the script. */
  closeAll(): void {
    for (const file of this.#open) closeSilently(file);
  }
}

/** Closes a file and ignores errors, because there is nobody left to report them to. */
function closeSilently(file: OpenFile): void {
  mayLoseOutput(() => file.close());
}
