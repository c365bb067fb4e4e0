/**
 * The user and the groups of this process. @see setresuid(2), setgroups(2)
 *
 * glibc's functions change all threads. Those of Node refuse to work where it may use
 * io_uring, whose requests would keep the old user; a program that is executed right
 * afterwards has none of them.
 */
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";
import { beginCall, copyIn } from "./memory.ts";

const libc = {
  setgroups: intFunction("setgroups", 2),
  setresgid: intFunction("setresgid", 3),
  setresuid: intFunction("setresuid", 3),
};

/** @throws SyscallError such as EPERM */
export function setGroups(gids: readonly number[]): void {
  beginCall();
  const list = Buffer.from(new Uint32Array(gids).buffer);
  check(libc.setgroups(gids.length, copyIn(list)), "setgroups", { count: gids.length });
}

/** Real, effective and saved gid. @throws SyscallError such as EPERM */
export function setGid(gid: number): void {
  check(libc.setresgid(gid, gid, gid), "setresgid", { gid });
}

/** Real, effective and saved uid; one that is not root's has no capabilities from then on. */
export function setUid(uid: number): void {
  check(libc.setresuid(uid, uid, uid), "setresuid", { uid });
}
