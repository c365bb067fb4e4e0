/** Watches files and directories. @see inotify(7) */
import { readSync } from "node:fs";
import { type ByteString, bytesOfLatin1 } from "./byte-string.ts";
import { ByteReader } from "./bytes.ts";
import { check, isErrno } from "./errors.ts";
import { Fd } from "./fd.ts";
import { intFunction } from "./libc.ts";
import { allocate, beginCall, cString } from "./memory.ts";

export const IN_MODIFY = 0x2;
export const IN_ATTRIB = 0x4;
export const IN_MOVED_FROM = 0x40;
export const IN_MOVED_TO = 0x80;
export const IN_CREATE = 0x100;
export const IN_DELETE = 0x200;
export const IN_Q_OVERFLOW = 0x4000;
export const IN_IGNORED = 0x8000;
export const IN_ONLYDIR = 0x1000000;
export const IN_ISDIR = 0x40000000;

const IN_CLOEXEC = 0o2000000;
const IN_NONBLOCK = 0o4000;

const libc = {
  inotify_init1: intFunction("inotify_init1", 1),
  inotify_add_watch: intFunction("inotify_add_watch", 3),
  inotify_rm_watch: intFunction("inotify_rm_watch", 2),
  ioctl: intFunction("ioctl", 3),
};

/** @see FIONREAD(2const) */
const FIONREAD = 0x541b;

/** An event. */
export interface InotifyEvent {
  /** The watch descriptor; -1 if events were lost (IN_Q_OVERFLOW). */
  readonly wd: number;
  /** IN_... */
  readonly mask: number;
  /** The name of the entry in the watched directory; empty for the directory itself. */
  readonly name: ByteString;
}

/**
 * Parses a buffer of `struct inotify_event`: i32 wd, u32 mask, u32 cookie, u32 len, char
 * name[len]. Pure.
 */
export function parseInotifyEvents(bytes: Uint8Array): InotifyEvent[] {
  const events: InotifyEvent[] = [];
  const reader = new ByteReader(bytes);
  while (reader.remaining > 0) {
    const wd = reader.i32();
    const mask = reader.u32();
    reader.skip(4);
    const length = reader.u32();
    events.push({ wd, mask, name: length === 0 ? NO_NAME : unpadded(reader.bytes(length)) });
  }
  return events;
}

const NO_NAME = bytesOfLatin1("");

/** Removes the NULs at the end of a name. */
function unpadded(padded: Buffer): ByteString {
  const end = padded.indexOf(0);
  return bytesOfLatin1(padded.toString("latin1", 0, end < 0 ? padded.length : end));
}

/** The size of the header and of a name of NAME_MAX bytes with its NUL. */
const MAX_EVENT_BYTES = 16 + 256;

/** An inotify instance, non-blocking. The owner closes it. */
export class Inotify {
  readonly fd: Fd;
  readonly #buffer = Buffer.alloc(64 * 1024);

  /** @throws SyscallError EMFILE: fs.inotify.max_user_instances or RLIMIT_NOFILE is reached */
  constructor() {
    this.fd = new Fd(check(libc.inotify_init1(IN_CLOEXEC | IN_NONBLOCK), "inotify_init1"));
  }

  /**
   * Watches a file or directory. Watching the same inode again returns the same watch descriptor.
   * @throws SyscallError ENOSPC: fs.inotify.max_user_watches is reached
   */
  watch(path: string | Buffer, mask: number): number {
    beginCall();
    const wd = libc.inotify_add_watch(this.fd.number, cString(path), mask);
    return check(wd, "inotify_add_watch", { path: path.toString() });
  }

  /** Ends a watch; IN_IGNORED follows. Returns false if the watch had already ended. */
  unwatch(wd: number): boolean {
    return libc.inotify_rm_watch(this.fd.number, wd) >= 0;
  }

  /**
   * Returns whether the last `read` left no room in the buffer for the largest event, so that there
   * may be more events.
   */
  get hasMore(): boolean {
    return this.#hasMore;
  }
  #hasMore = false;

  /** The number of bytes that all calls of `read` together have taken from the queue. */
  get bytesRead(): number {
    return this.#bytesRead;
  }
  #bytesRead = 0;

  /** Returns the number of bytes in the queue. @throws SyscallError @see inotify(7) */
  get bytesQueued(): number {
    beginCall();
    const { bytes, address } = allocate(4);
    const fd = this.fd.number;
    check(libc.ioctl(fd, FIONREAD, address), "ioctl(FIONREAD)", { fd });
    return bytes.readInt32LE();
  }

  /** Returns the events that are queued, at most one buffer of them; empty if there are none. */
  read(): InotifyEvent[] {
    this.#hasMore = false;
    try {
      const length = readSync(this.fd.number, this.#buffer);
      this.#bytesRead += length;
      this.#hasMore = length > this.#buffer.length - MAX_EVENT_BYTES;
      return parseInotifyEvents(this.#buffer.subarray(0, length));
    } catch (error) {
      if (isErrno(error, "EAGAIN")) return [];
      throw error;
    }
  }

  /** Closes the instance and ends all its watches. */
  close(): void {
    this.fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
