/**
 * Access to a tree of directories from one open directory: whatever is mounted or
 * renamed elsewhere, nothing outside that tree is reached. cgroupfs has no symbolic
 * links and no renames, so a path below its root means one directory only.
 *
 * A path is empty or starts with `/`.
 */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { type ByteString, bytesOfLatin1, latin1Of, nodePathOf } from "@cm4all/linux";

const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
const O_DIRECTORY_ONLY = constants.O_DIRECTORY | constants.O_NOFOLLOW | O_CLOEXEC;

/** PATH_MAX is 4096 bytes: a longer path is walked in steps of this length. */
const STEP_BYTES = 3500;

/** Returns what Node opens `path` below an open directory by. @param path as latin1 */
function nodePathBelow(fd: number, path: string): string | Buffer {
  return nodePathOf(bytesOfLatin1(`/proc/self/fd/${fd}${path}`));
}

/** @param path as latin1 */
function walk<T>(fd: number, path: string, use: (name: string | Buffer) => T): T {
  if (path.length <= STEP_BYTES) return use(nodePathBelow(fd, path));
  const cut = path.lastIndexOf("/", STEP_BYTES);
  const step = openSync(nodePathBelow(fd, path.slice(0, cut)), O_PATH | O_DIRECTORY_ONLY);
  try {
    return walk(step, path.slice(cut), use);
  } finally {
    closeSync(step);
  }
}

/** An open directory; its owner closes it. */
export class OpenRoot {
  readonly fd: number;
  /** The file system's device number: a directory with another one is a mount's. */
  readonly device: bigint;

  constructor(path: ByteString) {
    this.fd = openSync(nodePathOf(path), O_DIRECTORY_ONLY);
    this.device = fstatSync(this.fd, { bigint: true }).dev;
  }

  /** Calls `use` with a name by which `path` can be opened, valid during the call. */
  at<T>(path: ByteString, use: (name: string | Buffer) => T): T {
    return walk(this.fd, latin1Of(path), use);
  }

  /** Opens a directory for the length of `use`. */
  withDirectory<T>(path: ByteString, use: (fd: number) => T): T {
    const fd = this.openDirectory(path);
    try {
      return use(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** Opens a directory, which the caller closes. */
  openDirectory(path: ByteString): number {
    // The name of an open directory itself is a symbolic link.
    const entry = latin1Of(path) === "" ? "/." : latin1Of(path);
    return walk(this.fd, entry, (name) => openSync(name, O_DIRECTORY_ONLY));
  }

  /** The inode of a directory. */
  inode(path: ByteString): bigint {
    return this.withDirectory(path, (fd) => fstatSync(fd, { bigint: true }).ino);
  }

  close(): void {
    closeSync(this.fd);
  }
}
