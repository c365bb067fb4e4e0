/**
 * The record of the parts that `up` makes. It exists from before anything is made until `down` has
 * ended. The process that works on the namespace locks the file; the lock ends with this process
 * and those of its children that hold the descriptor. So an unlocked record that is not complete
 * was left by an `up` or `down` that was killed, or that could not undo everything.
 *
 * A write replaces the file, because SIGKILL can cut a write(2) short between two pages. The new
 * file is locked before it gets the name of the record, so the record is locked all the time.
 */
import {
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  type Stats,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { CommandFailure, EX_DATAERR } from "@cm4all/command";
import { fileFailure } from "@cm4all/command/files";
import { readRegularFile } from "@cm4all/command/regular-file";
import { Fd, flock, isErrno, readBootId, tryFlock } from "@cm4all/linux";
import { unlinkIfThere } from "./files.ts";
import { newRecordPath, RECORD_DIRECTORY, recordName, recordPath } from "./paths.ts";
import { encodeRecord, type NamespaceRecord, parseRecord } from "./record-text.ts";

const { O_RDWR, O_CREAT, O_NOFOLLOW, O_TRUNC } = constants;

/** Larger than any record: a description has at most 1 MiB, and its record a few times as much. */
const RECORD_BYTES_MAX = 16 * 1024 * 1024;

/** The record's file, open and locked. The owner closes it, which unlocks it. */
export class RecordFile {
  #fd: Fd;
  readonly #path: string;

  private constructor(fd: Fd, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  /** Opens and locks the file; returns undefined if another process has the lock. */
  static tryLock(name: string): RecordFile | undefined {
    mkdirSync(RECORD_DIRECTORY, { recursive: true, mode: 0o755 });
    const path = recordPath(name);
    for (;;) {
      const fd = new Fd(openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o644));
      if (!fstatSync(fd.number).isFile()) {
        fd.close();
        throw new CommandFailure(`${path}: it is not a regular file`, EX_DATAERR);
      }
      const locked = tryFlock(fd.number);
      // The last owner of the lock may have removed the file before it released the lock.
      if (locked && isSameFile(fd.number, path)) return new RecordFile(fd, path);
      fd.close();
      if (!locked) return undefined;
    }
  }

  /** The descriptor that holds the lock; the next `write` may replace it. */
  get lock(): number {
    return this.#fd.number;
  }

  /** Returns the record; undefined if the file has none. */
  read(): NamespaceRecord | undefined {
    try {
      // Opened anew, because the descriptor that has the lock may be at the end of the file.
      const path = `/proc/self/fd/${this.#fd.number}`;
      return parseRecord(readRegularFile(path, RECORD_BYTES_MAX).toString());
    } catch (error) {
      throw fileFailure(`cannot read ${this.#path}`, error);
    }
  }

  /**
   * Writes the record to a second file, which replaces the first: after a kill, the file has either
   * the former record or the new one. If there is no room for a second file, the record is written
   * over the former one, because `down` must still be able to remove the namespace; a kill can then
   * cut a record of several pages short. If that takes more room than there is, the former record
   * stays.
   * @throws CommandFailure
   */
  write(record: NamespaceRecord): void {
    try {
      try {
        this.#replace(record);
      } catch (error) {
        if (!isErrno(error, "ENOSPC", "EDQUOT")) throw error;
        this.#overwrite(record);
      }
    } catch (error) {
      throw fileFailure(`cannot write ${this.#path}`, error);
    }
  }

  #overwrite(record: NamespaceRecord): void {
    const fd = this.#fd.number;
    const bytes = Buffer.from(encodeRecord(record));
    const { size } = fstatSync(fd);
    try {
      // Lines after the first are ignored. So the old record stays valid if there is no room.
      writeFully(fd, Buffer.alloc(Math.max(bytes.length - size, 0), "\n"), size);
    } catch (error) {
      ftruncateSync(fd, size);
      throw error;
    }
    writeFully(fd, bytes, 0);
  }

  #replace(record: NamespaceRecord): void {
    const path = newRecordPath(this.#path);
    const fd = new Fd(openSync(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o644));
    try {
      flock(fd.number);
      writeFileSync(fd.number, encodeRecord(record));
      renameSync(path, this.#path);
    } catch (error) {
      fd.close();
      unlinkIfThere(path);
      throw error;
    }
    this.#fd.close();
    this.#fd = fd;
  }

  /** Removes the file; for use when nothing is left to be recorded. */
  remove(): void {
    // An interrupted write may have left the new file behind.
    unlinkIfThere(newRecordPath(this.#path));
    unlinkIfThere(this.#path);
  }

  /** Removes the file if nothing was ever written to it. */
  removeIfEmpty(): void {
    if (fstatSync(this.#fd.number).size === 0) this.remove();
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

/** Writes all bytes at a position in a file. @throws the error of pwrite(2), such as ENOSPC */
function writeFully(fd: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}

function isSameFile(fd: number, path: string): boolean {
  try {
    return fstatSync(fd).ino === statSync(path).ino;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

/**
 * Reads a record without locking it, because the lock would make a concurrent `up` fail; returns
 * undefined if there is none.
 */
export function peekRecord(name: string): NamespaceRecord | undefined {
  try {
    return parseRecord(readRegularFile(recordPath(name), RECORD_BYTES_MAX).toString());
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw fileFailure(`cannot read ${recordPath(name)}`, error);
  }
}

/**
 * Returns the pid of the process that has locked the record of a name; undefined if none has. Takes
 * no lock, because that would make a concurrent `up` fail.
 */
export function recordOwner(name: string): number | undefined {
  for (;;) {
    const file = statRecord(name);
    if (file === undefined) return undefined;
    const pid = flockOwner(file, readFileSync("/proc/locks", "utf8"));
    // A write replaces the file, and the new file is locked in place of the former one.
    if (pid !== undefined || file.ino === statRecord(name)?.ino) return pid;
  }
}

const statRecord = (name: string): Stats | undefined =>
  statSync(recordPath(name), { throwIfNoEntry: false });

/**
 * Finds the pid of the process that has a lock of flock(2) on a file; undefined if none has.
 * @param locks the content of /proc/locks
 * @see proc_locks(5); makedev(3) for the encoding of a device number
 */
function flockOwner({ dev, ino }: Pick<Stats, "dev" | "ino">, locks: string): number | undefined {
  const device = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)]
    .map((number) => number.toString(16).padStart(2, "0"))
    .join(":");
  for (const line of locks.split("\n")) {
    const [, pid, where] = /^\d+: FLOCK +\S+ +\S+ +(\d+) (\S+) /.exec(line) ?? [];
    if (where === `${device}:${ino}`) return Number(pid);
  }
  return undefined;
}

/** Returns the records of this boot, by name. */
export function peekAllRecords(): Map<string, NamespaceRecord> {
  const found = new Map<string, NamespaceRecord>();
  const bootId = readBootId();
  for (const name of recordedNames()) {
    const record = peekRecord(name);
    if (record?.bootId === bootId) found.set(name, record);
  }
  return found;
}

function recordedNames(): string[] {
  try {
    return readdirSync(RECORD_DIRECTORY)
      .map(recordName)
      .filter((name) => name !== undefined);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/**
 * Runs `work` under the lock that protects everything that namespaces share: the addresses of the
 * pool, the ports of the host and the settings of its links.
 */
export function withSharedLock<T>(work: () => T): T {
  using lock = new Fd(openSync(RECORD_DIRECTORY, "r"));
  flock(lock.number);
  return work();
}
