/**
 * The operations that a journal needs on its directory. They are an interface, because the
 * effects of a power failure can be tested only on a simulated disk.
 */
import { constants, fstatSync } from "node:fs";
import { type FileHandle, open, readdir, rename, statfs, unlink } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectories } from "@cm4all/linux";

/** An open file; its owner closes it. All methods throw Node's system errors. */
export interface JournalFile {
  /**
   * Writes all bytes at `position`, and returns when they are on the disk.
   * @throws Error if the file was removed: the bytes would be lost
   */
  write(bytes: Buffer, position: number): Promise<void>;
  /** Reads into `buffer`. Returns the number of bytes that were read; 0 at the end of the file. */
  read(buffer: Buffer, position: number): Promise<number>;
  /** Returns when everything that was written to the file is on the disk. @see fdatasync(2) */
  sync(): Promise<void>;
  /** Cuts off everything after the first `length` bytes. @see ftruncate(2) */
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

export interface JournalDirectory {
  /** Returns the names of the files in the directory. */
  list(): Promise<string[]>;
  /** Creates a file for writing and reading. @throws EEXIST */
  create(name: string): Promise<JournalFile>;
  /** Opens a file for reading. */
  open(name: string): Promise<JournalFile>;
  /** Opens an existing file for writing and reading. */
  reopen(name: string): Promise<JournalFile>;
  /** Renames a file. A file that already has the new name is replaced. */
  rename(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Returns when the names in the directory are on the disk. @see fsync(2) */
  sync(): Promise<void>;
  /** Returns the free space of the directory's file system. @see statfs(2) */
  freeBytes(): Promise<number>;
}

/** Only the owner may read the files: they show the names and usage of customers' cgroups. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/**
 * Makes a write return only when its bytes are on the disk. A separate fdatasync(2) would be
 * another round trip through libuv's threads, which costs more than the call itself.
 * @see open(2), O_DSYNC
 */
const WRITTEN = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_DSYNC;

class OpenFile implements JournalFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(bytes: Buffer, position: number): Promise<void> {
    // If the disk fills up, Node's write returns a short count instead of going on.
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(
        bytes,
        done,
        bytes.length - done,
        position + done,
      );
      done += bytesWritten;
    }
    // fstat(2) of an open file does not wait for the disk.
    if (fstatSync(this.#handle.fd).nlink === 0) throw new Error("the file was removed");
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, position);
    return bytesRead;
  }

  async sync(): Promise<void> {
    await this.#handle.datasync();
  }

  async truncate(length: number): Promise<void> {
    await this.#handle.truncate(length);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** A directory on a disk. */
export class DiskDirectory implements JournalDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Creates the directory and its parent directories if they are missing. */
  async make(): Promise<void> {
    await makeDirectories(this.path, DIRECTORY_MODE);
  }

  list(): Promise<string[]> {
    return readdir(this.path);
  }

  async create(name: string): Promise<JournalFile> {
    const flags = WRITTEN | constants.O_CREAT | constants.O_EXCL;
    return new OpenFile(await open(join(this.path, name), flags, FILE_MODE));
  }

  async open(name: string): Promise<JournalFile> {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW;
    return new OpenFile(await open(join(this.path, name), flags));
  }

  async reopen(name: string): Promise<JournalFile> {
    return new OpenFile(await open(join(this.path, name), WRITTEN));
  }

  rename(from: string, to: string): Promise<void> {
    return rename(join(this.path, from), join(this.path, to));
  }

  remove(name: string): Promise<void> {
    return unlink(join(this.path, name));
  }

  async sync(): Promise<void> {
    const handle = await open(this.path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.path);
    return bavail * bsize;
  }
}
