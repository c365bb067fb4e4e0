/** Mounts file systems. @see mount(2), umount2(2), pivot_root(2) */
import { check } from "./errors.ts";
import { intFunction, systemCall } from "./libc.ts";
import { beginCall, cString } from "./memory.ts";

export const MS_RDONLY = 0x1;
export const MS_BIND = 0x1000;
export const MS_REC = 0x4000;
export const MS_PRIVATE = 0x40000;
export const MS_SLAVE = 0x80000;
export const MS_SHARED = 0x100000;

export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

const SYS_pivot_root = process.arch === "x64" ? 155 : 41;

const libc = {
  mount: intFunction("mount", 5),
  umount2: intFunction("umount2", 2),
  pivot_root: systemCall("pivot_root", SYS_pivot_root, 2),
};

/** The arguments of mount(2); those that a kind of mount does not need are left out. */
export interface MountOptions {
  readonly source?: string;
  readonly target: string;
  readonly type?: string;
  /** MS_... */
  readonly flags?: number;
  /** Options of the file system, such as `mode=0700`. */
  readonly data?: string;
}

/** Mounts a file system, or changes a mount. @throws SyscallError @see mount(2) */
export function mount({ source, target, type, flags = 0, data }: MountOptions): void {
  beginCall();
  const result = libc.mount(cString(source), cString(target), cString(type), flags, cString(data));
  check(result, "mount", { source, target, type, flags: `0x${flags.toString(16)}`, data });
}

/**
 * Unmounts a file system.
 * @param flags MNT_DETACH, UMOUNT_NOFOLLOW
 * @throws SyscallError
 * @see umount2(2)
 */
export function umount(target: string, flags = 0): void {
  beginCall();
  check(libc.umount2(cString(target), flags), "umount2", { target, flags });
}

/**
 * Makes `newRoot` the root of the mount namespace, with the old root at `putOld`.
 * @throws SyscallError
 */
export function pivotRoot(newRoot: string, putOld: string): void {
  beginCall();
  const result = libc.pivot_root(cString(newRoot), cString(putOld));
  check(result, "pivot_root", { newRoot, putOld });
}
