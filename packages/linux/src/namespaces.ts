/**
 * Namespaces of the calling thread.
 * @see namespaces(7), unshare(2), setns(2), ioctl_ns(2)
 *
 * unshare(2) and setns(2) change only the calling thread, and Node's synchronous functions run on
 * the thread that calls them. So a function that is synchronous throughout runs in the namespaces
 * of its thread, and no other code runs on that thread meanwhile.
 */

import { readlinkSync, writeSync } from "node:fs";
import { EPERM } from "./errno.ts";
import { check, errorText } from "./errors.ts";
import { exitImmediately } from "./exit.ts";
import { Fd } from "./fd.ts";
import { openFile } from "./file.ts";
import { intFunction } from "./libc.ts";
import { MS_REC, MS_SLAVE, mount } from "./mount.ts";

export const CLONE_FS = 0x00000200;
export const CLONE_NEWNS = 0x00020000;
export const CLONE_NEWCGROUP = 0x02000000;
export const CLONE_NEWUTS = 0x04000000;
export const CLONE_NEWIPC = 0x08000000;
export const CLONE_NEWUSER = 0x10000000;
export const CLONE_NEWPID = 0x20000000;
export const CLONE_NEWNET = 0x40000000;

/** A type of namespace, by the name of its file in `/proc/PID/ns`. */
export type NamespaceType = "cgroup" | "ipc" | "mnt" | "net" | "pid" | "user" | "uts";

const FLAGS: Readonly<Record<NamespaceType, number>> = {
  cgroup: CLONE_NEWCGROUP,
  ipc: CLONE_NEWIPC,
  mnt: CLONE_NEWNS,
  net: CLONE_NEWNET,
  pid: CLONE_NEWPID,
  user: CLONE_NEWUSER,
  uts: CLONE_NEWUTS,
};

/** The exit status of sysexits.h for a failure of the operating system. */
const EX_OSERR = 71;

const NS_GET_PARENT = 0xb702;

const libc = {
  unshare: intFunction("unshare", 1),
  setns: intFunction("setns", 2),
  ioctl: intFunction("ioctl", 3),
};

/**
 * Moves the calling thread into new namespaces.
 * @param flags CLONE_NEW..., CLONE_FS
 * @throws SyscallError
 */
export function unshare(flags: number): void {
  check(libc.unshare(flags), "unshare", { flags: `0x${flags.toString(16)}` });
}

/**
 * Moves the calling thread into the namespace of `fd`. For a mount namespace, the thread must have
 * unshared `CLONE_FS`; the thread's root and working directory become the namespace's root. A
 * PID namespace becomes that of the thread's future children.
 * @param type CLONE_NEW..., or 0 for any type, which systemd's RestrictNamespaces= refuses
 */
export function setns(fd: number, type: number): void {
  check(libc.setns(fd, type), "setns", { fd, type: `0x${type.toString(16)}` });
}

/** Opens the calling thread's own namespace. The caller closes the descriptor. */
export function openOwnNamespace(type: NamespaceType): Fd {
  return openFile(`/proc/thread-self/ns/${type}`, 0);
}

/**
 * Returns the inode of the calling thread's own namespace. The inode distinguishes namespaces of
 * one type.
 * @see namespaces(7)
 */
export function ownNamespaceInode(type: NamespaceType): number {
  return parseNamespaceLink(readlinkSync(`/proc/thread-self/ns/${type}`));
}

/** Returns the inode in a link such as `ipc:[4026531839]`. Pure. */
export function parseNamespaceLink(link: string): number {
  const inode = /^[a-z_]+:\[(\d+)\]$/.exec(link)?.[1];
  if (inode === undefined) throw new Error(`not a namespace link: ${link}`);
  return Number(inode);
}

/**
 * Runs `work` with the calling thread in the namespace of `fd`, and then returns the thread to
 * its own.
 * @param type the type of the namespace
 * @param work must be synchronous: an `await` would let other code run in the namespace
 * @throws whatever `work` throws; if the thread cannot return, the process ends, because
 *   everything later would run in the wrong namespace
 */
export function withNamespace<T>(fd: number, type: NamespaceType, work: () => T): T {
  using own = openOwnNamespace(type);
  setns(fd, FLAGS[type]);
  try {
    return work();
  } finally {
    returnTo(own, type);
  }
}

/**
 * Makes a new namespace and returns a descriptor for it, which the caller closes. The calling
 * thread stays where it is. Only for types that a thread can enter and leave: ipc, net, uts.
 */
export function createNamespace(type: "ipc" | "net" | "uts"): Fd {
  using own = openOwnNamespace(type);
  unshare(FLAGS[type]);
  try {
    return openOwnNamespace(type);
  } finally {
    returnTo(own, type);
  }
}

/**
 * Runs `work` with the calling thread in a mount namespace of its own, and then returns the
 * thread to the old one. Mounts in the old namespace still propagate to the new one, but not the
 * other way round. From then on, the thread shares its root, working directory and umask with no
 * other thread. When it has returned, its root and working directory are the root of the old
 * namespace.
 * @param work must be synchronous
 */
export function withNewMountNamespace<T>(work: () => T): T {
  using own = openOwnNamespace("mnt");
  unshare(CLONE_NEWNS);
  try {
    mount({ target: "/", flags: MS_REC | MS_SLAVE });
    return work();
  } finally {
    returnTo(own, "mnt");
  }
}

function returnTo(own: Fd, type: NamespaceType): void {
  try {
    // The type is given because systemd's RestrictNamespaces= refuses 0, which means any type.
    setns(own.number, FLAGS[type]);
  } catch (error) {
    try {
      writeSync(2, `fatal: cannot return to the thread's own namespace: ${errorText(error)}\n`);
    } catch {
      // The log cannot be written: the process must end nevertheless.
    }
    exitImmediately(EX_OSERR);
  }
}

/**
 * Opens the parent of a PID or user namespace; undefined if there is none that the caller may
 * see. The caller closes the descriptor.
 * @see ioctl_ns(2) NS_GET_PARENT
 */
export function namespaceParent(fd: number): Fd | undefined {
  const result = libc.ioctl(fd, NS_GET_PARENT, 0);
  if (result === -EPERM) return undefined;
  return new Fd(check(result, "ioctl(NS_GET_PARENT)", { fd }));
}
