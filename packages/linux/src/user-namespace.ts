/**
 * Makes a user namespace without leaving a process in it.
 *
 * unshare(CLONE_NEWUSER) fails in a multi-threaded process. So a child is created in a new
 * namespace. The child sleeps while the namespace is opened and its maps are written, and is then
 * killed.
 * @see clone(2), user_namespaces(7)
 */
import { openSync, writeFileSync } from "node:fs";
import { SyscallError } from "./errors.ts";
import { Fd } from "./fd.ts";
import { CLONE_NEWUSER } from "./namespaces.ts";
import { killChild, PausedChildStack } from "./paused-child.ts";
import { withTracersShutOut } from "./prctl.ts";
import { P_PID, reap } from "./wait.ts";

const CLONE_FILES = 0x00000400;

let stack: PausedChildStack | undefined;

/** The contents of `/proc/PID/uid_map` and `gid_map`; undefined leaves a map unwritten. */
export interface IdMaps {
  readonly uidMap: string | undefined;
  readonly gidMap: string | undefined;
}

/**
 * Makes a user namespace. The caller closes the descriptor.
 *
 * The child shares the memory of this process. The uid of this process owns the new namespace, and
 * all processes with that uid have all capabilities there, even if they have none elsewhere. So
 * other processes are shut out as long as the child exists (see withTracersShutOut).
 * @throws SyscallError of clone (ENOSPC: user.max_user_namespaces) or of writing a map (EINVAL:
 *   not a valid map, EPERM: not allowed)
 */
export function createUserNamespace(maps: IdMaps): Fd {
  return withTracersShutOut(() => create(maps));
}

function create(maps: IdMaps): Fd {
  stack ??= new PausedChildStack();
  // Do not copy our descriptors: there may be tens of thousands.
  const pid = stack.start({ CLONE_NEWUSER, CLONE_FILES });
  try {
    const fd = new Fd(openSync(`/proc/${pid}/ns/user`, "r"));
    try {
      writeMap(pid, "uid_map", maps.uidMap);
      writeMap(pid, "gid_map", maps.gidMap);
      return fd;
    } catch (error) {
      fd.close();
      throw error;
    }
  } finally {
    killChild(pid);
    reap(P_PID, pid);
  }
}

/** Writes a map, with one write(2) as the kernel requires. @see user_namespaces(7) */
function writeMap(pid: number, name: "uid_map" | "gid_map", map: string | undefined): void {
  if (map === undefined) return;
  try {
    writeFileSync(`/proc/${pid}/${name}`, map);
  } catch (error) {
    if (error instanceof Error && "errno" in error && typeof error.errno === "number")
      throw new SyscallError("write", -error.errno, { file: name, map: map.slice(0, 100) });
    throw error;
  }
}
