/** Advisory locks of whole files, which end with the process at the latest. @see flock(2) */
import { EAGAIN, EINTR } from "./errno.ts";
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;

const libc = { flock: intFunction("flock", 2) };

/** Locks, waiting for whoever has the lock. Closing the open file unlocks. */
export function flock(fd: number): void {
  let result: number;
  do result = libc.flock(fd, LOCK_EX);
  while (result === -EINTR);
  check(result, "flock", { fd });
}

/** Whether the lock could be had at once. */
export function tryFlock(fd: number): boolean {
  const result = libc.flock(fd, LOCK_EX | LOCK_NB);
  if (result === -EAGAIN) return false;
  check(result, "flock", { fd });
  return true;
}
