/**
 * A new user namespace, made without a process that stays.
 *
 * unshare(CLONE_NEWUSER) fails in a multi-threaded process, so a child is born in
 * one. It runs no JavaScript: it shares our memory (CLONE_VM), has a stack of its own
 * and sits in libc's pause(2) until its namespace is opened and its maps are written.
 * @see clone(2), user_namespaces(7)
 */
import { openSync, writeFileSync } from "node:fs";
import { check, SyscallError } from "./errors.ts";
import { Fd } from "./fd.ts";
import { functionAddress, intFunction } from "./libc.ts";
import { allocateNative, type NativeMemory } from "./memory.ts";
import { CLONE_NEWUSER } from "./namespaces.ts";
import { P_PID, reap } from "./wait.ts";

const CLONE_VM = 0x00000100;
const STACK_BYTES = 64 * 1024;
const SIGKILL = 9;

const libc = { clone: intFunction("clone", 4), kill: intFunction("kill", 2) };

let stack: NativeMemory | undefined;
let pauseAddress: number | undefined;

/** What goes into `/proc/PID/uid_map` and `gid_map`; undefined leaves a map unwritten. */
export interface IdMaps {
  readonly uidMap: string | undefined;
  readonly gidMap: string | undefined;
}

/**
 * Makes a user namespace; the caller closes the descriptor.
 * @throws SyscallError of clone (ENOSPC: user.max_user_namespaces) or of writing a
 *   map (EINVAL: not a map, EPERM: not allowed)
 */
export function createUserNamespace(maps: IdMaps): Fd {
  stack ??= allocateNative(STACK_BYTES);
  pauseAddress ??= functionAddress("pause");
  // The ABI of x86-64 and arm64 wants the stack's top aligned to 16 bytes.
  const top = alignDown(stack.address + STACK_BYTES);
  const pid = check(libc.clone(pauseAddress, top, CLONE_VM | CLONE_NEWUSER, 0), "clone", {
    flags: "CLONE_VM|CLONE_NEWUSER",
  });
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
    libc.kill(pid, SIGKILL);
    reap(P_PID, pid);
  }
}

/** `address` rounded down to 16 bytes; bit operations would cut it to 32 bits. */
function alignDown(address: number): number {
  return address - (address % 16);
}

/** The kernel takes a map in one write. @see user_namespaces(7) */
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
