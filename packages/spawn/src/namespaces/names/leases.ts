import { fstatSync } from "node:fs";
import {
  allocateNative,
  EAGAIN,
  EPOLLET,
  type Fd,
  type NativeMemory,
  readInto,
  SyscallError,
} from "@cm4all/linux";
import type { EventLoop } from "../../thread/event-loop.ts";
import type { NameDirectory } from "./name-directory.ts";

export interface FileIdentity {
  readonly device: number;
  readonly inode: number;
}

/**
 * The leases of one name: the writers of its FIFO. It owns the read end, from the first
 * lease to the end of the name: names are leased again and again.
 */
export class Leases {
  readonly #directory: NameDirectory;
  readonly #loop: EventLoop;
  readonly #closed: () => void;
  #reader: { readonly fd: Fd; readonly token: number } | undefined;
  #areOpen = false;

  /** @param closed is called when the last lease was closed */
  constructor(directory: NameDirectory, loop: EventLoop, closed: () => void) {
    this.#directory = directory;
    this.#loop = loop;
    this.#closed = closed;
  }

  /** Whether there is a lease. */
  get areOpen(): boolean {
    return this.#areOpen;
  }

  /** Its FIFO, as stat(2) of any descriptor of it says; undefined before the first lease. */
  get pipe(): FileIdentity | undefined {
    if (this.#reader === undefined) return undefined;
    const { dev, ino } = fstatSync(this.#reader.fd.number, { bigint: true });
    return { device: Number(dev), inode: Number(ino) };
  }

  /** A new lease: a write end of the FIFO. The caller owns it. */
  open(): Fd {
    if (this.#reader === undefined) this.#watch();
    const lease = this.#directory.openLease();
    this.#areOpen = true;
    return lease;
  }

  /** Takes up the leases that an earlier run has given out. */
  restore(): void {
    if (!this.#directory.hasLeasePipe()) return;
    this.#areOpen = hasWriters(this.#watch());
  }

  /** Forgets all leases. */
  end(): void {
    if (this.#reader === undefined) return;
    this.#loop.forget(this.#reader.token, undefined);
    this.#reader.fd.close();
    this.#reader = undefined;
    this.#areOpen = false;
  }

  /**
   * Opens the read end. It hangs up each time that the last writer goes, and stays so until
   * the next one comes: hence the change alone is reported.
   */
  #watch(): Fd {
    const fd = this.#directory.openLeaseReader();
    try {
      const token = this.#loop.watchFirst(fd.number, EPOLLET, () => this.#hungUp(fd));
      this.#reader = { fd, token };
      return fd;
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  #hungUp(fd: Fd): void {
    // A new lease may have been given out since the last one was closed.
    if (!this.#areOpen || hasWriters(fd)) return;
    this.#areOpen = false;
    this.#closed();
  }
}

let scratch: NativeMemory | undefined;

/** Whether a FIFO has writers. What they wrote, which nobody asked for, is thrown away. */
function hasWriters(reader: Fd): boolean {
  scratch ??= allocateNative(64 * 1024);
  // More than any pipe holds: then somebody keeps writing.
  for (let i = 0; i < 64; i++) {
    const length = readInto(reader.number, scratch);
    if (length === 0) return false;
    if (length === -EAGAIN) return true;
    if (length < 0) throw new SyscallError("read", -length, { fd: reader.number });
  }
  return true;
}
