/** A counter for waking another thread. @see eventfd(2) */
import { readSync, writeSync } from "node:fs";
import { check, isErrno } from "./errors.ts";
import { Fd } from "./fd.ts";
import { intFunction } from "./libc.ts";

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

const libc = { eventfd: intFunction("eventfd", 2) };

/** Opens an eventfd, which becomes readable when it is signalled. The caller closes it. */
export function eventfd(): Fd {
  return new Fd(check(libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
}

const ONE = Buffer.from(new BigUint64Array([1n]).buffer);

/** Wakes the thread that waits for `fd`. May be called from any thread. */
export function signalEventfd(fd: number): void {
  writeSync(fd, ONE);
}

/** Resets the counter. */
export function drainEventfd(fd: number): void {
  try {
    readSync(fd, Buffer.alloc(8));
  } catch (error) {
    // Nothing was signalled, or another thread has drained it already.
    if (!isErrno(error, "EAGAIN")) throw error;
  }
}
