/**
 * Reads a file that may have unreadable blocks. Such a block is replaced by zeros, which count as
 * damage when frames are looked for, and the blocks after it are still used.
 */
import { isErrno } from "@cm4all/linux";
import type { JournalFile } from "./directory.ts";

/** The size of the blocks that are read separately after an error, in bytes. */
const BLOCK_SIZE = 4096;

/**
 * With more unreadable blocks than this, reading fails: the whole disk has a fault, which may be
 * temporary.
 */
const MAX_BAD_BLOCKS = 64;

export class PatientReader {
  readonly #file: JournalFile;
  #badBlocks = 0;
  /** The error of an unreadable block; undefined if all blocks were read. */
  error: Error | undefined;

  constructor(file: JournalFile) {
    this.#file = file;
  }

  get unreadableBytes(): number {
    return this.#badBlocks * BLOCK_SIZE;
  }

  /** See JournalFile.read. @throws system errors; EIO only after MAX_BAD_BLOCKS bad blocks */
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
