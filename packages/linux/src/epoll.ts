/** Waits for events on descriptors. @see epoll(7) */
import { EINTR } from "./errno.ts";
import { check } from "./errors.ts";
import { Fd } from "./fd.ts";
import { intFunction } from "./libc.ts";
import { allocateNative, type NativeMemory } from "./memory.ts";

export const EPOLLIN = 0x1;
export const EPOLLHUP = 0x10;
export const EPOLLRDHUP = 0x2000;
/** Reports each change once, instead of reporting a condition as long as it lasts. */
export const EPOLLET = 0x80000000;

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;

/**
 * The offset of the data in `struct epoll_event` (u32 events, u64 data), which is packed on
 * x86-64 only; elsewhere the data is aligned.
 */
const DATA_OFFSET = process.arch === "x64" ? 4 : 8;
const EVENT_BYTES = DATA_OFFSET + 8;

/**
 * Tokens are 53-bit integers, written as two 32-bit integers: this saves making a BigInt for each
 * token.
 */
const TOKEN_HIGH = 2 ** 32;

const libc = {
  epoll_create1: intFunction("epoll_create1", 1),
  epoll_ctl: intFunction("epoll_ctl", 4),
  epoll_wait: intFunction("epoll_wait", 4),
};

/** An epoll instance and the memory for its events. The owner closes it. */
export class Epoll {
  readonly #fd: Fd;
  readonly #events: NativeMemory;
  /** The event that is passed to epoll_ctl(2). */
  readonly #event = allocateNative(EVENT_BYTES);
  readonly #maxEvents: number;
  #fetched = 0;

  /** @param maxEvents the maximum number of events that one wait returns */
  constructor(maxEvents = 64) {
    this.#fd = new Fd(check(libc.epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
    this.#maxEvents = maxEvents;
    this.#events = allocateNative(maxEvents * EVENT_BYTES);
  }

  /**
   * Returns the descriptor of the epoll instance, which another instance can watch: it is
   * readable while there are events.
   */
  get fd(): number {
    return this.#fd.number;
  }

  #control(operation: number, fd: number, events: number, token: number): void {
    const { bytes, address } = this.#event;
    bytes.writeUInt32LE(events >>> 0, 0);
    bytes.writeUInt32LE(token % TOKEN_HIGH, DATA_OFFSET);
    bytes.writeUInt32LE(Math.floor(token / TOKEN_HIGH), DATA_OFFSET + 4);
    const result = libc.epoll_ctl(this.#fd.number, operation, fd, address);
    check(result, "epoll_ctl", { operation, fd });
  }

  /**
   * Watches `fd`. Hang-ups and errors are always reported.
   * @param events EPOLLIN, ... or 0 for hang-ups and errors alone
   * @param token returned with each event: an integer from 0 to 2^53 - 1
   */
  add(fd: number, events: number, token: number): void {
    this.#control(EPOLL_CTL_ADD, fd, events, token);
  }

  /**
   * Ends a watch. Closing `fd` does the same, unless another descriptor refers to the same open file
   * description.
   */
  remove(fd: number): void {
    this.#control(EPOLL_CTL_DEL, fd, 0, 0);
  }

  /**
   * Waits for events, for which `dispatch` then calls a handler.
   * @param timeoutMs rounded up to whole milliseconds; undefined to wait without a limit
   * @returns the number of events; 0 also if a signal interrupted the wait
   */
  fetch(timeoutMs: number | undefined): number {
    const timeout = timeoutMs === undefined ? -1 : Math.ceil(Math.min(timeoutMs, 0x7fffffff));
    const result = libc.epoll_wait(this.#fd.number, this.#events.address, this.#maxEvents, timeout);
    this.#fetched = result === -EINTR ? 0 : check(result, "epoll_wait");
    return this.#fetched;
  }

  /** Calls `handle` for each event that `fetch` returned. */
  dispatch(handle: (token: number, events: number) => void): void {
    const { bytes } = this.#events;
    for (let i = 0; i < this.#fetched; i++) {
      const offset = i * EVENT_BYTES;
      const low = bytes.readUInt32LE(offset + DATA_OFFSET);
      const high = bytes.readUInt32LE(offset + DATA_OFFSET + 4);
      handle(high * TOKEN_HIGH + low, bytes.readUInt32LE(offset));
    }
  }

  /** Waits for events, and calls `handle` for each. Returns their number. */
  wait(timeoutMs: number | undefined, handle: (token: number, events: number) => void): number {
    const count = this.fetch(timeoutMs);
    this.dispatch(handle);
    return count;
  }

  /** Closes the epoll instance. The watched descriptors are left to their owners. */
  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
