/** Sets the calling thread's working directory and root. @see fchdir(2), chroot(2) */
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";
import { beginCall, cString } from "./memory.ts";

const libc = {
  fchdir: intFunction("fchdir", 1),
  chroot: intFunction("chroot", 1),
};

/**
 * Makes an open directory the working directory. The thread must not share its working directory
 * with another thread (`unshare(CLONE_FS)`). Node's process.chdir works only on the main thread.
 */
export function changeDirectory(directoryFd: number): void {
  check(libc.fchdir(directoryFd), "fchdir", { directoryFd });
}

/** Makes an open directory the root and the working directory. See changeDirectory. */
export function changeRoot(directoryFd: number): void {
  changeDirectory(directoryFd);
  beginCall();
  check(libc.chroot(cString(".")), "chroot", { directoryFd });
}
