/**
 * Space on the disk that is kept for marks: the outcome of handlers has to be recorded even if
 * the disk is full. Without this space, no handler could be called while the disk is full, not
 * even one that writes only to a remote database.
 *
 * The reserve is a file whose blocks are allocated. When the disk is full it becomes a segment,
 * and marks overwrite its zeros. If its blocks were freed instead, other files could take them. A
 * file system that never overwrites data in place (btrfs, ZFS) needs room of its own for that; if it
 * has none, the marks wait, as they do when the reserve is used up.
 */
import { isErrno } from "@cm4all/linux";
import type { JournalDirectory, JournalFile } from "./directory.ts";
import { TEMPORARY_SUFFIX } from "./segments.ts";

const NAME = "reserve";

/** The pause between two attempts to make a new reserve. */
const PAUSE_MS = 10_000;

/**
 * The reserve is made only if this multiple of its size is free. So it leaves at least as much
 * space for other files as it takes.
 */
const DISTANCE = 2;

/** Returns true if an error means that the disk is full, or a quota is used up. */
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

  /** True if the reserve is missing and it is time for another attempt to make it. */
  get isDue(): boolean {
    return !this.#isThere && this.#bytes > 0 && performance.now() - this.#triedMs >= PAUSE_MS;
  }

  /** Returns true if the disk has room for another reserve. */
  async hasRoomBeside(): Promise<boolean> {
    try {
      return (await this.#directory.freeBytes()) >= this.#bytes;
    } catch {
      // Disk errors are reported when a write fails.
      return false;
    }
  }

  /** Makes the reserve, if the disk has room. @returns true if the reserve exists */
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
      // Disk errors are reported when a write fails.
      await this.#directory.remove(name).catch(() => undefined);
    }
    return this.#isThere;
  }

  /**
   * Renames the reserve to `name` and opens it. The caller overwrites its zeros, and closes the
   * file.
   * @throws system errors; if ENOENT, somebody has removed the reserve, and `isThere` is false
   */
  async become(name: string): Promise<JournalFile> {
    try {
      return await this.#become(name);
    } catch (error) {
      // Without a reserve, the journal removes or rewrites segments to make room for marks. A new
      // reserve is made when the disk has room for it.
      if (isErrno(error, "ENOENT")) this.#isThere = false;
      throw error;
    }
  }

  async #become(name: string): Promise<JournalFile> {
    // The file is opened before it is renamed: when this method fails, the caller removes any file
    // called `name`, which must not be the reserve.
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
