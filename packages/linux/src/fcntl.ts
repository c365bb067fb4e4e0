/** Sets flags of descriptors, and makes room for more descriptors. @see fcntl(2) */
import { closeSync, openSync, readdirSync } from "node:fs";
import { EBADF, EINVAL } from "./errno.ts";
import { check } from "./errors.ts";
import { O_PATH } from "./file.ts";
import { intFunction } from "./libc.ts";
import { O_NONBLOCK } from "./pipe.ts";

const F_DUPFD_CLOEXEC = 1030;
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
 * Closes every descriptor from `first` on that a program started by this process would inherit.
 * Must be called before this process opens descriptors without close-on-exec; those that Node
 * itself opens all have the flag.
 */
export function closeInherited(first: number): void {
  for (const fd of readdirSync("/proc/self/fd").map(Number)) {
    if (fd < first) continue;
    const flags = libc.fcntl(fd, F_GETFD, 0);
    // This was the descriptor with which the directory was read; it is closed by now.
    if (flags === -EBADF) continue;
    if ((check(flags, "fcntl(F_GETFD)", { fd }) & FD_CLOEXEC) === 0) closeSync(fd);
  }
}

/**
 * Makes calls fail with EAGAIN if they would have to wait. This applies to all users of the open
 * file description.
 */
export function setNonBlocking(fd: number): void {
  const flags = check(libc.fcntl(fd, F_GETFL, 0), "fcntl(F_GETFL)", { fd });
  check(libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK), "fcntl(F_SETFL)", { fd });
}

/**
 * Makes the kernel's table of this process's descriptors large enough for `count` of them. If
 * RLIMIT_NOFILE is lower, the table gets room for more than half of that limit. Without this call,
 * the kernel doubles the table whenever it is full. In a process with threads, the thread that
 * opens a descriptor then waits, for 5 to 20 ms, until no CPU reads the old table (synchronize_rcu
 * in fs/file.c of Linux). The table never shrinks; it takes 8 bytes for each descriptor.
 * @throws SyscallError, or an error of Node: ENOMEM, EMFILE; the table is then unchanged
 */
export function reserveDescriptors(count: number): void {
  const fd = openSync("/", O_PATH);
  try {
    // The kernel adapts the table to the highest descriptor that was asked for.
    for (let size = count; size > 1; size = Math.floor(size / 2)) {
      const highest = libc.fcntl(fd, F_DUPFD_CLOEXEC, size - 1);
      // RLIMIT_NOFILE is lower.
      if (highest === -EINVAL) continue;
      closeSync(check(highest, "fcntl(F_DUPFD_CLOEXEC)", { size }));
      return;
    }
  } finally {
    closeSync(fd);
  }
}
