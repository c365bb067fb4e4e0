/** Files that a script has opened, which end with the last reference to them, or with the script. */
import { closeSync, fstatSync } from "node:fs";
import { mayLoseOutput, writeSome } from "./output.ts";

/** What the system says of a file that is closed, or open for the other direction only. */
export function badDescriptor(): Error {
  return Object.assign(new Error("EBADF"), { code: "EBADF", errno: -9 });
}

/** A descriptor, and what has been written and has not reached the system. */
export class OpenFile {
  #fd: number | undefined;
  readonly #append: boolean;
  readonly #beforeClose: ((fd: number) => void) | undefined;
  #pending = "";
  /** Where in the file the next byte is read or written; undefined for pipes. */
  position: number | undefined;
  bytesWritten = 0;
  /** Called once. */
  onClosed: (() => void) | undefined;

  /**
   * Owns the descriptor.
   * @param append each byte is written at the end
   * @param beforeClose called when all is written, while the descriptor is still open
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

  /** @throws EBADF if it is closed: the number may be another file's by now */
  get fd(): number {
    if (this.#fd === undefined) throw badDescriptor();
    return this.#fd;
  }

  get size(): number {
    return fstatSync(this.fd).size;
  }

  /** @returns how many bytes wait to be flushed */
  write(text: string): number {
    this.#pending += text;
    return this.#pending.length;
  }

  /** Writes what was buffered. @throws system errors; what cannot be written is lost */
  flush(): void {
    let rest = Buffer.from(this.#pending, "latin1");
    // What cannot be written is lost, as in C's stdio.
    this.#pending = "";
    while (rest.length > 0) {
      const isPlaced = this.position !== undefined && !this.#append;
      const count = writeSome(this.fd, rest, isPlaced ? this.position : undefined);
      if (isPlaced && this.position !== undefined) this.position += count;
      this.bytesWritten += count;
      rest = rest.subarray(count);
    }
  }

  /**
   * Writes what was buffered and closes the file.
   * @throws system errors; it is closed all the same
   */
  close(): void {
    const fd = this.#fd;
    if (fd === undefined) return;
    this.onClosed?.();
    try {
      this.flush();
      this.#beforeClose?.(fd);
    } finally {
      this.#fd = undefined;
      closeSync(fd);
    }
  }
}

/** What scripts hold of a file. */
interface Handle {
  readonly opened: OpenFile;
}

/**
 * Closes what a script forgets, as LuaJIT's collector does: `io.open(path):read()` in each
 * handler would use up the descriptors. When that is, V8 decides.
 */
export class OpenFiles {
  readonly #open = new Set<OpenFile>();
  readonly #forgotten = new FinalizationRegistry<OpenFile>(closeSilently);

  /** Has the file closed when nothing refers to its handle any more. */
  own<T extends Handle>(handle: T): T {
    const { opened } = handle;
    this.#open.add(opened);
    opened.onClosed = () => this.#open.delete(opened);
    this.#forgotten.register(handle, opened);
    return handle;
  }

  /** At the end of the script. */
  closeAll(): void {
    for (const file of this.#open) closeSilently(file);
  }
}

/** Nobody is there any more to whom a failure could be told. */
function closeSilently(file: OpenFile): void {
  mayLoseOutput(() => file.close());
}
