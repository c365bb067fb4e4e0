/**
 * The record of what an `up` makes, kept from before anything is made until `down`.
 * Its file is locked by whoever works on the namespace; the lock ends with the process,
 * so a record that is not complete and not locked is what a killed `up` or `down` has left.
 */
import {
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeSync,
} from "node:fs";
import { Fd, isErrno, tryFlock } from "@cm4all/linux";
import { unlinkIfThere } from "./files.ts";
import { RECORD_DIRECTORY, recordPath } from "./paths.ts";

const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;

export interface NamespaceRecord {
  /** While `up` works, between `up` and `down`, while `down` works. */
  readonly state: "unfinished" | "complete" | "removing";
  /** Who wrote it. */
  readonly pid: number;
  /** The cookie and the index mean something until the next boot only. */
  readonly bootId: string;
  /** The namespace's cookie, in decimal digits. */
  readonly cookie: string;
  /** The index of the host's end, once it is made. */
  readonly linkIndex?: number | undefined;
}

/** One line, so that what a longer one has left behind it does not matter. Pure. */
export function encodeRecord(record: NamespaceRecord): string {
  return `${JSON.stringify(record)}\n`;
}

/** Undefined for anything but a whole record, such as the empty file of a lock. Pure. */
export function parseRecord(text: string): NamespaceRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text.split("\n", 1)[0] ?? "");
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { state, pid, bootId, cookie, linkIndex } = value as Record<string, unknown>;
  if (
    (state !== "unfinished" && state !== "complete" && state !== "removing") ||
    typeof pid !== "number" ||
    typeof bootId !== "string" ||
    typeof cookie !== "string" ||
    (linkIndex !== undefined && typeof linkIndex !== "number")
  )
    return undefined;
  return { state, pid, bootId, cookie, linkIndex };
}

export function readBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** Larger than any record. */
const RECORD_BYTES_MAX = 4096;

/** The record's file, open and locked. The owner closes it, which unlocks. */
export class RecordFile {
  readonly #fd: Fd;
  readonly #path: string;

  private constructor(fd: Fd, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  /** Undefined where another process has the lock. */
  static tryLock(name: string): RecordFile | undefined {
    mkdirSync(RECORD_DIRECTORY, { recursive: true, mode: 0o755 });
    const path = recordPath(name);
    for (;;) {
      const fd = new Fd(openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o644));
      const locked = tryFlock(fd.number);
      // Whoever had the lock may have removed the file before giving it up.
      if (locked && isSameFile(fd.number, path)) return new RecordFile(fd, path);
      fd.close();
      if (!locked) return undefined;
    }
  }

  read(): NamespaceRecord | undefined {
    const buffer = Buffer.alloc(RECORD_BYTES_MAX);
    const length = readSync(this.#fd.number, buffer, 0, buffer.length, 0);
    return parseRecord(buffer.toString("utf8", 0, length));
  }

  /** One write(2), which being killed does not cut. */
  write(record: NamespaceRecord): void {
    writeSync(this.#fd.number, encodeRecord(record), 0);
  }

  /** Says that nothing is left to be recorded. */
  remove(): void {
    unlinkIfThere(this.#path);
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

function isSameFile(fd: number, path: string): boolean {
  try {
    return fstatSync(fd).ino === statSync(path).ino;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

/** What is recorded; takes no lock, which an `up` of that moment would find taken. */
export function peekRecord(name: string): NamespaceRecord | undefined {
  try {
    return parseRecord(readFileSync(recordPath(name), "utf8"));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
