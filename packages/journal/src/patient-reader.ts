/**
 * Reads a file of which the disk does not give all: a block that cannot be read is taken
 * for zeros, which are damage to whoever looks for frames, and what follows is used.
 */
import { isErrno } from "@cm4all/linux";
import type { JournalFile } from "./directory.ts";

/** What is given up at once. */
const BLOCK_SIZE = 4096;

/** A disk that gives no more blocks than this fails as a whole, perhaps not for ever. */
const MAX_BAD_BLOCKS = 64;

export class PatientReader {
  readonly #file: JournalFile;
  #badBlocks = 0;
  /** Why a block could not be read; undefined if all were. */
  error: Error | undefined;

  constructor(file: JournalFile) {
    this.#file = file;
  }

  get unreadableBytes(): number {
    return this.#badBlocks * BLOCK_SIZE;
  }

  /** Reads as JournalFile does. @throws system errors, but not EIO of a few blocks */
  async read(buffer: Buffer, position: number): Promise<number> {
    try {
      return await this.#file.read(buffer, position);
    } catch (error) {
      if (!isErrno(error, "EIO")) throw error;
    }
    for (let done = 0; ; ) {
      const start = position + done;
      const size = Math.min(BLOCK_SIZE - (start % BLOCK_SIZE), buffer.length - done);
      if (size === 0) return done;
      const length = await this.#readBlock(buffer.subarray(done, done + size), start);
      done += length;
      if (length < size) return done;
    }
  }

  async #readBlock(block: Buffer, position: number): Promise<number> {
    try {
      return await this.#file.read(block, position);
    } catch (error) {
      if (!isErrno(error, "EIO") || ++this.#badBlocks > MAX_BAD_BLOCKS) throw error;
      if (error instanceof Error) this.error = error;
      return block.fill(0).length;
    }
  }
}
