import { fstatSync } from "node:fs";
import {
  allocateNative,
  EAGAIN,
  EPOLLET,
  type Fd,
  type NativeMemory,
  POLLHUP,
  pollNow,
  readInto,
  SyscallError,
} from "@cm4all/linux";
import type { EventLoop } from "../../thread/event-loop.ts";
import { isSystemError, type OnError } from "../errors.ts";
import type { NameDirectory } from "./name-directory.ts";

/** The pause before another look at a FIFO that could not be read, in milliseconds. */
const LOOK_AGAIN_MS = 1000;

export interface FileIdentity {
  readonly device: number;
  readonly inode: number;
}

/**
 * The leases of one name, which are the writers of its FIFO. This object owns the read end from
 * the first lease until the name ends, because names are leased again and again.
 */
export class Leases {
  readonly #directory: NameDirectory;
  readonly #loop: EventLoop;
  readonly #closed: () => void;
  readonly #onError: OnError;
  #reader: { readonly fd: Fd; readonly token: number; readonly pipe: FileIdentity } | undefined;
  #areOpen = false;

  /** @param closed called when the last lease has been closed */
  constructor(directory: NameDirectory, loop: EventLoop, onError: OnError, closed: () => void) {
    this.#directory = directory;
    this.#loop = loop;
    this.#onError = onError;
    this.#closed = closed;
  }

  /** Returns whether there is a lease. */
  get areOpen(): boolean {
    return this.#areOpen;
  }

  /**
   * Returns the identity of the FIFO, as fstat(2) returns it for any of its descriptors; undefined
   * before the first lease.
   */
  get pipe(): FileIdentity | undefined {
    return this.#reader?.pipe;
  }

  /** Opens a new lease: a write end of the FIFO, which the caller owns. */
  open(): Fd {
    if (this.#reader === undefined) this.#watch();
    const lease = this.#directory.openLease();
    this.#areOpen = true;
    return lease;
  }

  /** Takes over the leases that an earlier run has given out. */
  restore(): void {
    if (!this.#directory.hasLeasePipe()) return;
    this.#areOpen = hasWriters(this.#watch());
  }

  /** Closes the read end and forgets all leases. */
  end(): void {
    if (this.#reader === undefined) return;
    this.#loop.forget(this.#reader.token, undefined);
    this.#reader.fd.close();
    this.#reader = undefined;
    this.#areOpen = false;
  }

  /**
   * Opens the read end. The kernel reports a hang-up on it (EPOLLHUP) from the moment at which the
   * last writer closes the FIFO until the next writer opens it; therefore the watch is
   * edge-triggered.
   */
  #watch(): Fd {
    const fd = this.#directory.openLeaseReader();
    try {
      const { dev, ino } = fstatSync(fd.number, { bigint: true });
      const pipe = { device: Number(dev), inode: Number(ino) };
      const token = this.#loop.watchFirst(fd.number, EPOLLET, () => this.#hungUp(fd));
      this.#reader = { fd, token, pipe };
      return fd;
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  #hungUp(fd: Fd): void {
    // The name may have ended, or all leases may have been closed already.
    if (this.#reader?.fd !== fd || !this.#areOpen) return;
    try {
      // A new lease may have been given out since the last one was closed.
      if (hasWriters(fd)) return;
    } catch (error) {
      // An edge-triggered event comes only once, so look again later.
      if (!isSystemError(error)) throw error;
      this.#onError("a lease cannot be checked at the moment", error);
      this.#loop.after(LOOK_AGAIN_MS, () => this.#hungUp(fd));
      return;
    }
    this.#areOpen = false;
    this.#closed();
  }
}

let scratch: NativeMemory | undefined;

/** Returns whether a FIFO has writers. Throws away what they wrote, which nobody needs. */
function hasWriters(reader: Fd): boolean {
  scratch ??= allocateNative(64 * 1024);
  // A read returns at most one packet of a pipe in packet mode (O_DIRECT), and root's pipes may be
  // of any size, so these reads may leave data. poll(2) reports POLLHUP even while there is data.
  for (let i = 0; i < 64; i++) {
    const length = readInto(reader.number, scratch);
    if (length === 0) return false;
    if (length === -EAGAIN) return true;
    if (length < 0) throw new SyscallError("read", -length, { fd: reader.number });
  }
  return (pollNow(reader.number, 0) & POLLHUP) === 0;
}
