/** Process file descriptors. @see pidfd_open(2), pidfd_send_signal(2) */

import { statfsSync } from "node:fs";
import { constants } from "node:os";
import { ESRCH } from "./errno.ts";
import { check } from "./errors.ts";
import { Fd } from "./fd.ts";
import { inodeOf } from "./file.ts";
import { systemCall } from "./libc.ts";

/** The numbers are the same on x86-64 and arm64, as are those of all system calls from 424 on. */
const SYS_pidfd_send_signal = 424;
const SYS_pidfd_open = 434;

const libc = {
  pidfd_open: systemCall("pidfd_open", SYS_pidfd_open, 2),
  pidfd_send_signal: systemCall("pidfd_send_signal", SYS_pidfd_send_signal, 4),
};

/** Opens a pidfd, close-on-exec. The caller closes it. @throws SyscallError ESRCH */
export function pidfdOpen(pid: number): Fd {
  return new Fd(check(libc.pidfd_open(pid, 0), "pidfd_open", { pid }));
}

/** Opens a pidfd, like pidfdOpen; undefined if the process is gone. */
export function tryPidfdOpen(pid: number): Fd | undefined {
  const result = libc.pidfd_open(pid, 0);
  if (result === -ESRCH) return undefined;
  return new Fd(check(result, "pidfd_open", { pid }));
}

/** The file system type of pidfs. @see statfs(2) */
const PID_FS_MAGIC = 0x50494446;

let haveIdentity: boolean | undefined;

/**
 * Returns a number that is the same for all pidfds of a process and, until the next boot,
 * different from that of every other process, even if the pid is reused. Undefined before Linux
 * 6.9, the first version with pidfs.
 */
export function pidfdIdentity(pidfd: number): number | undefined {
  haveIdentity ??= statfsSync(`/proc/thread-self/fd/${pidfd}`).type === PID_FS_MAGIC;
  return haveIdentity ? inodeOf(pidfd) : undefined;
}

/** Sends a signal; 0 sends none. Returns whether the process still existed. */
export function pidfdSendSignal(pidfd: number, signal: number): boolean {
  const result = libc.pidfd_send_signal(pidfd, signal, 0, 0);
  if (result === -ESRCH) return false;
  check(result, "pidfd_send_signal", { pidfd, signal });
  return true;
}

export const SIGKILL = constants.signals.SIGKILL;
