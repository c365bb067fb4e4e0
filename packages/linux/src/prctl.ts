/** Sets attributes of the calling thread or of its process. @see prctl(2), capabilities(7) */
import { CAP_SYS_PTRACE, hasEffectiveCapability } from "./capabilities.ts";
import { EINVAL } from "./errno.ts";
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";
import { beginCall, cString } from "./memory.ts";

const PR_SET_PDEATHSIG = 1;
const PR_GET_DUMPABLE = 3;
const PR_SET_DUMPABLE = 4;
const PR_SET_NAME = 15;
const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;

const libc = { prctl: intFunction("prctl", 5) };

/** Ensures that programs that this thread executes can never gain privileges. Cannot be undone. */
export function setNoNewPrivileges(): void {
  check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)");
}

/**
 * Empties the capability bounding set: programs that this thread executes have no capabilities,
 * even as root, except those that the thread has in its inheritable set. The thread keeps its own.
 * Cannot be undone.
 * @throws SyscallError EPERM without CAP_SETPCAP
 */
export function dropBoundingSet(): void {
  for (let capability = 0; ; capability++) {
    const present = libc.prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    // The kernel has no further capabilities.
    if (present === -EINVAL) return;
    if (present === 1)
      check(libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "prctl(PR_CAPBSET_DROP)", {
        capability,
      });
  }
}

/**
 * Denies other processes without CAP_SYS_PTRACE, including those of the same user, access to this
 * process: no ptrace(2), no pidfd_getfd(2), and its files in /proc belong to root. This process
 * does not dump core, either. None of this applies to programs that it executes.
 * @see PR_SET_DUMPABLE
 */
export function shutOutTracers(): void {
  check(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl(PR_SET_DUMPABLE)");
}

/**
 * Runs `work` while other processes are shut out, as by shutOutTracers. This also applies to the
 * memory of a child that shares that of this process. Without CAP_SYS_PTRACE, this process could
 * not look into such a child itself, so `work` then runs without this protection.
 * @param work must be synchronous
 */
export function withTracersShutOut<T>(work: () => T): T {
  const isOpen = check(libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), "prctl(PR_GET_DUMPABLE)") === 1;
  if (!isOpen || !hasEffectiveCapability(0, CAP_SYS_PTRACE)) return work();
  shutOutTracers();
  try {
    return work();
  } finally {
    check(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl(PR_SET_DUMPABLE)");
  }
}

/**
 * Makes the kernel send this process a signal when the thread that created it ends.
 * @see PR_SET_PDEATHSIG
 */
export function setParentDeathSignal(signal: number): void {
  check(libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)", { signal });
}

/** Sets the name of the thread, as ps(1) shows it, at most 15 bytes. */
export function setThreadName(name: string): void {
  beginCall();
  check(libc.prctl(PR_SET_NAME, cString(name), 0, 0, 0), "prctl(PR_SET_NAME)", { name });
}
