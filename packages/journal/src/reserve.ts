/**
 * Room on the disk that is kept for marks: the outcome of handlers has to be recorded even if
 * the disk is full, or no handler could be called although the database works.
 *
 * The reserve is a file whose blocks are allocated. When the disk is full it becomes a segment,
 * and marks overwrite its zeros. Blocks that were freed instead could be taken by anybody.
 */
import { isErrno } from "@cm4all/linux";
import type { JournalDirectory, JournalFile } from "./directory.ts";
import { TEMPORARY_SUFFIX } from "./segments.ts";

const NAME = "reserve";

/** The pause between two attempts to make a new reserve. */
const PAUSE_MS = 10_000;

/**
 * The multiple of the reserve's size that has to be free before the reserve is made, so that others
 * are left as much room as it takes.
 */
const DISTANCE = 2;

/** Returns true if an error says that the disk, or a quota, is full. */
export function isDiskFull(error: unknown): boolean {
  return isErrno(error, "ENOSPC", "EDQUOT");
}

export class Reserve {
  readonly #directory: JournalDirectory;
  readonly #bytes: number;
  #isThere: boolean;
  #triedMs = Number.NEGATIVE_INFINITY;

  /**
   * @param bytes the size of the reserve; 0 if none is to be made
   * @param names the names of the existing files
   */
  constructor(directory: JournalDirectory, bytes: number, names: readonly string[]) {
    this.#directory = directory;
    this.#bytes = bytes;
    this.#isThere = names.includes(NAME);
  }

  get isThere(): boolean {
    return this.#isThere;
  }

  /** True if the reserve is missing and it is time to try again. */
  get isDue(): boolean {
    return !this.#isThere && this.#bytes > 0 && performance.now() - this.#triedMs >= PAUSE_MS;
  }

  /** Returns true if the disk has room for another reserve. */
  async hasRoomBeside(): Promise<boolean> {
    try {
      return (await this.#directory.freeBytes()) >= this.#bytes;
    } catch {
      // Errors of the disk are reported by writes.
      return false;
    }
  }

  /** Makes the reserve, if the disk has room. @returns true if it exists */
  async tryMake(): Promise<boolean> {
    if (!this.isDue) return this.#isThere;
    this.#triedMs = performance.now();
    const name = `${NAME}${TEMPORARY_SUFFIX}`;
    try {
      if ((await this.#directory.freeBytes()) < DISTANCE * this.#bytes) return false;
      const file = await this.#directory.create(name);
      try {
        await file.write(Buffer.alloc(this.#bytes), 0);
      } finally {
        await file.close();
      }
      await this.#directory.rename(name, NAME);
      await this.#directory.sync();
      this.#isThere = true;
    } catch {
      // Errors of the disk are reported by writes.
      await this.#directory.remove(name).catch(() => undefined);
    }
    return this.#isThere;
  }

  /**
   * Renames the reserve to `name` and opens it. The caller overwrites its zeros, and closes the
   * file.
   * @throws system errors
   */
  async become(name: string): Promise<JournalFile> {
    // The file is opened before it is renamed: a caller that gets no file removes any file that is
    // called `name`.
    const file = await this.#directory.reopen(NAME);
    try {
      // The caller syncs the directory.
      await this.#directory.rename(NAME, name);
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#isThere = false;
    return file;
  }
}
