/**
 * Makes, finds and removes named network namespaces as ip-netns(8) does. Each is a bind mount of
 * nsfs below /run/netns. This directory is a shared mount point, so that other mount namespaces see
 * the bind mounts, too.
 */
import { closeSync, mkdirSync, openSync, readdirSync, statfsSync, unlinkSync } from "node:fs";
import {
  createNamespace,
  Fd,
  flock,
  isErrno,
  MNT_DETACH,
  MS_BIND,
  MS_REC,
  MS_SHARED,
  mount,
  RtnetlinkSocket,
  UMOUNT_NOFOLLOW,
  umount,
  withNamespace,
} from "@cm4all/linux";
import { unlinkIfThere } from "./files.ts";
import { NETNS_DIRECTORY, namespacePath } from "./paths.ts";
import { lookAtNetns, processesByNetns } from "./processes.ts";

const NSFS_MAGIC = 0x6e736673;

/** A network namespace that is held open. The owner disposes of it. */
export class NetworkNamespace {
  readonly fd: Fd;
  /** A socket of this namespace, whichever namespace the thread is in. */
  readonly socket: RtnetlinkSocket;
  /** The number that identifies the namespace until the next boot, in decimal digits. */
  readonly cookie: string;

  /** Takes ownership of `fd`. */
  constructor(fd: Fd) {
    this.fd = fd;
    this.socket = withNamespace(fd.number, "net", () => new RtnetlinkSocket());
    this.cookie = String(this.socket.netnsCookie());
  }

  /** Creates a namespace without a name. The caller disposes of it. */
  static create(): NetworkNamespace {
    return new NetworkNamespace(createNamespace("net"));
  }

  /**
   * Opens a namespace; returns undefined if there is none of that name. The caller disposes of
   * it.
   */
  static tryOpen(name: string): NetworkNamespace | undefined {
    let fd: Fd;
    try {
      fd = new Fd(openSync(namespacePath(name), "r"));
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw error;
    }
    try {
      return new NetworkNamespace(fd);
    } catch (error) {
      fd.close();
      // From setns(2): nothing is mounted on the file (yet).
      if (isErrno(error, "EINVAL")) return undefined;
      throw error;
    }
  }

  /**
   * Finds, through a process that is still in it, a namespace that has lost its name. The caller
   * disposes of it.
   * @param inode the inode by which processes are found; it may belong to another namespace by now
   */
  static tryFind(inode: number, cookie: string): NetworkNamespace | undefined {
    for (const pid of processesByNetns().get(inode) ?? []) {
      const fd = lookAtNetns(pid, (path) => new Fd(openSync(path, "r")));
      if (fd === undefined) continue;
      const namespace = new NetworkNamespace(fd);
      if (namespace.cookie === cookie) return namespace;
      namespace[Symbol.dispose]();
    }
    return undefined;
  }

  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]();
    this.fd.close();
  }
}

/**
 * Returns "namespace" if a namespace is mounted on the file of that name, "file" if none is, and
 * undefined if the file does not exist.
 */
export function namespaceFile(name: string): "namespace" | "file" | undefined {
  try {
    return statfsSync(namespacePath(name)).type === NSFS_MAGIC ? "namespace" : "file";
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Gives `namespace` a name. @throws EEXIST if the name is taken */
export function attachNamespace(namespace: NetworkNamespace, name: string): void {
  makeNamespaceDirectory();
  closeSync(openSync(namespacePath(name), "wx", 0));
  const source = `/proc/self/fd/${namespace.fd.number}`;
  try {
    mount({ source, target: namespacePath(name), flags: MS_BIND });
  } catch (error) {
    unlinkSync(namespacePath(name));
    throw error;
  }
}

/** Removes the name, if it exists. The namespace itself ends with its last user. */
export function detachNamespace(name: string): void {
  const path = namespacePath(name);
  for (;;)
    try {
      umount(path, MNT_DETACH | UMOUNT_NOFOLLOW);
    } catch (error) {
      // EINVAL: nothing is mounted there (any more).
      if (!isErrno(error, "EINVAL", "ENOENT")) throw error;
      break;
    }
  unlinkIfThere(path);
}

/**
 * Makes the directory for the names, as a shared mount point: otherwise a new mount namespace
 * would keep alive all network namespaces that had a name when it was made.
 */
function makeNamespaceDirectory(): void {
  mkdirSync(NETNS_DIRECTORY, { recursive: true, mode: 0o755 });
  using directory = new Fd(openSync(NETNS_DIRECTORY, "r"));
  // ip(8) takes the same lock: without it, two processes could both mount the directory.
  flock(directory.number);
  const share = () => mount({ target: NETNS_DIRECTORY, flags: MS_SHARED | MS_REC });
  try {
    share();
  } catch (error) {
    // It is not a mount point yet.
    if (!isErrno(error, "EINVAL")) throw error;
    mount({ source: NETNS_DIRECTORY, target: NETNS_DIRECTORY, flags: MS_BIND | MS_REC });
    share();
  }
}

/** Returns the names below /run/netns. */
export function namespaceNames(): string[] {
  try {
    return readdirSync(NETNS_DIRECTORY);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}
