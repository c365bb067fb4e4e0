/**
 * Sets the user and the groups of this process.
 * @see setresuid(2), setgroups(2)
 *
 * The functions of glibc change the ids of all threads. Node's functions are not used, because they
 * refuse to work if Node may use io_uring, whose requests would keep the old user. Such requests
 * do not matter if the process executes another program right afterwards.
 */
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";
import { beginCall, copyIn } from "./memory.ts";

const libc = {
  setgroups: intFunction("setgroups", 2),
  setresgid: intFunction("setresgid", 3),
  setresuid: intFunction("setresuid", 3),
};

/** Sets the supplementary groups. @throws SyscallError such as EPERM */
export function setGroups(gids: readonly number[]): void {
  beginCall();
  const list = Buffer.from(new Uint32Array(gids).buffer);
  check(libc.setgroups(gids.length, copyIn(list)), "setgroups", { count: gids.length });
}

/** Sets the real, effective and saved gid. @throws SyscallError such as EPERM */
export function setGid(gid: number): void {
  check(libc.setresgid(gid, gid, gid), "setresgid", { gid });
}

/**
 * Sets the real, effective and saved uid. A process that runs as root loses its capabilities
 * unless the new uid is also 0.
 * @throws SyscallError such as EPERM
 */
export function setUid(uid: number): void {
  check(libc.setresuid(uid, uid, uid), "setresuid", { uid });
}
