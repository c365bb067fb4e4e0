/**
 * Advisory locks of whole files. A lock ends when the last copy of its descriptor is closed, for
 * example because the process ends.
 * @see flock(2)
 */
import { EAGAIN, EINTR } from "./errno.ts";
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;

const libc = { flock: intFunction("flock", 2) };

/** Locks a file, and waits while somebody else has the lock. */
export function flock(fd: number): void {
  let result: number;
  do result = libc.flock(fd, LOCK_EX);
  while (result === -EINTR);
  check(result, "flock", { fd });
}

/** Locks a file if nobody has the lock. Returns whether the file is now locked. */
export function tryFlock(fd: number): boolean {
  const result = libc.flock(fd, LOCK_EX | LOCK_NB);
  if (result === -EAGAIN) return false;
  check(result, "flock", { fd });
  return true;
}
