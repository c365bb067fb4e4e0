/** Sets flags of descriptors. @see fcntl(2) */
import { closeSync, readdirSync } from "node:fs";
import { EBADF } from "./errno.ts";
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";
import { O_NONBLOCK } from "./pipe.ts";

const F_GETFD = 1;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const FD_CLOEXEC = 1;

const libc = { fcntl: intFunction("fcntl", 3) };

/** Sets the close-on-exec flag: programs that this process starts do not get the descriptor. */
export function setCloseOnExec(fd: number): void {
  check(libc.fcntl(fd, F_SETFD, FD_CLOEXEC), "fcntl(F_SETFD)", { fd });
}

/**
 * Closes all inherited descriptors from `first` on. To be called before anything else opens
 * descriptors that are not close-on-exec: Node opens all of its own close-on-exec.
 */
export function closeInherited(first: number): void {
  for (const fd of readdirSync("/proc/self/fd").map(Number)) {
    if (fd < first) continue;
    const flags = libc.fcntl(fd, F_GETFD, 0);
    // The descriptor of the directory itself.
    if (flags === -EBADF) continue;
    if ((check(flags, "fcntl(F_GETFD)", { fd }) & FD_CLOEXEC) === 0) closeSync(fd);
  }
}

/**
 * Makes calls that would have to wait fail with EAGAIN, for everybody who uses the open file
 * description.
 */
export function setNonBlocking(fd: number): void {
  const flags = check(libc.fcntl(fd, F_GETFL, 0), "fcntl(F_GETFL)", { fd });
  check(libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK), "fcntl(F_SETFL)", { fd });
}
