/** @see fcntl(2) */
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";

const F_SETFD = 2;
const FD_CLOEXEC = 1;

const libc = { fcntl: intFunction("fcntl", 3) };

/** Keeps a descriptor out of the programs that this process starts. */
export function setCloseOnExec(fd: number): void {
  check(libc.fcntl(fd, F_SETFD, FD_CLOEXEC), "fcntl(F_SETFD)", { fd });
}
