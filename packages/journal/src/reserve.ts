/**
 * Room on the disk that is kept for marks: what handlers have done has to be written down
 * also when the disk is full, or no handler could be called although the database is well.
 *
 * It is a file whose blocks are allocated. When the disk is full it becomes a segment, and
 * marks overwrite its zeros; blocks that were given back to the disk would be anybody's.
 */
import { isErrno } from "@cm4all/linux";
import type { JournalDirectory, JournalFile } from "./directory.ts";
import { TEMPORARY_SUFFIX } from "./segments.ts";

const NAME = "reserve";

/** Between two looks whether the disk has room for another. */
const PAUSE_MS = 10_000;

/** So much of the disk is left to others beside it, times its size. */
const DISTANCE = 2;

/** Returns whether an error says that the disk, or somebody's share of it, is full. */
export function isDiskFull(error: unknown): boolean {
  return isErrno(error, "ENOSPC", "EDQUOT");
}

export class Reserve {
  readonly #directory: JournalDirectory;
  readonly #bytes: number;
  #isThere: boolean;
  #triedMs = Number.NEGATIVE_INFINITY;

  /**
   * @param bytes how large it is made; 0: none is made
   * @param names of the files that are there
   */
  constructor(directory: JournalDirectory, bytes: number, names: readonly string[]) {
    this.#directory = directory;
    this.#bytes = bytes;
    this.#isThere = names.includes(NAME);
  }

  get isThere(): boolean {
    return this.#isThere;
  }

  /** Whether it is missing and it is time to look for room. */
  get isDue(): boolean {
    return !this.#isThere && this.#bytes > 0 && performance.now() - this.#triedMs >= PAUSE_MS;
  }

  /** Returns whether the disk has room for as much as the reserve again. */
  async hasRoomBeside(): Promise<boolean> {
    try {
      return (await this.#directory.freeBytes()) >= this.#bytes;
    } catch {
      // What ails the disk is told by those who have something to write.
      return false;
    }
  }

  /** Makes it, if the disk has room. @returns whether it is there */
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
      // What ails the disk is told by those who have something to write.
      await this.#directory.remove(name).catch(() => undefined);
    }
    return this.#isThere;
  }

  /** Gives it away as the file of that name, whose zeros are to be overwritten. @throws system errors */
  async become(name: string): Promise<JournalFile> {
    // Opened first: a caller that gets no file removes what is at the name.
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
