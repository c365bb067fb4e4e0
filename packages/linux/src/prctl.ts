/** Attributes of the calling thread. @see prctl(2), capabilities(7) */
import { EINVAL } from "./errno.ts";
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";
import { beginCall, cString } from "./memory.ts";

const PR_SET_PDEATHSIG = 1;
const PR_SET_DUMPABLE = 4;
const PR_SET_NAME = 15;
const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;

const libc = { prctl: intFunction("prctl", 5) };

/** What execve(2) starts from this thread can never gain privileges. Cannot be undone. */
export function setNoNewPrivileges(): void {
  check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)");
}

/**
 * Empties the capability bounding set: a program that this thread starts has no
 * capabilities, even as root; the thread keeps its own. Cannot be undone.
 * @throws SyscallError EPERM without CAP_SETPCAP
 */
export function dropBoundingSet(): void {
  for (let capability = 0; ; capability++) {
    const present = libc.prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    // The kernel knows no more capabilities.
    if (present === -EINVAL) return;
    if (present === 1)
      check(libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "prctl(PR_CAPBSET_DROP)", {
        capability,
      });
  }
}

/**
 * Keeps other processes without CAP_SYS_PTRACE, those of the same user included, out of
 * this one: no ptrace(2), no pidfd_getfd(2), and its files in /proc are root's. No core is
 * dumped, either. Programs that it executes are not kept so.
 * @see PR_SET_DUMPABLE
 */
export function shutOutTracers(): void {
  check(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl(PR_SET_DUMPABLE)");
}

/** Sends this process a signal when the thread that made it ends. @see PR_SET_PDEATHSIG */
export function setParentDeathSignal(signal: number): void {
  check(libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)", { signal });
}

/** The thread's name as ps(1) shows it, at most 15 bytes. */
export function setThreadName(name: string): void {
  beginCall();
  check(libc.prctl(PR_SET_NAME, cString(name), 0, 0, 0), "prctl(PR_SET_NAME)", { name });
}
