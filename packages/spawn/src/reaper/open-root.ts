/**
 * Access to a tree of directories from one open directory: whatever is mounted or
 * renamed elsewhere, nothing outside that tree is reached. cgroupfs has no symbolic
 * links and no renames, so a path below its root means one directory only.
 *
 * A path is empty or starts with `/`.
 */
import { closeSync, constants, fstatSync, openSync, statfsSync } from "node:fs";
import {
  type ByteString,
  bytesOfLatin1,
  errorText,
  latin1Of,
  nodePathOf,
  textOf,
} from "@cm4all/linux";

const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
const O_DIRECTORY_ONLY = constants.O_DIRECTORY | constants.O_NOFOLLOW | O_CLOEXEC;

/** The types of file systems that administrators take for cgroup2. @see statfs(2) */
const CGROUP2_MAGIC = 0x63677270;
const MAGIC_NAMES = new Map([
  [0x27e0eb, "cgroup v1"],
  [0x01021994, "tmpfs"],
  [0x62656572, "sysfs"],
  [0xef53, "ext4"],
]);

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

/** A directory that is not in cgroup2, or cannot be opened. */
export class CgroupRootError extends Error {
  override readonly name = "CgroupRootError";
  /** As Node's own errors have it: this is no defect. */
  readonly code = "ERR_CGROUP_ROOT";
}

/**
 * Opens the root of the cgroups, which the caller closes.
 * @param path the mount point of cgroup2, or a directory below it
 * @throws CgroupRootError with one line that says what is wrong
 */
export function openCgroupRoot(path: ByteString): OpenRoot {
  try {
    const { type } = statfsSync(nodePathOf(path));
    if (type === CGROUP2_MAGIC) return new OpenRoot(path);
    const found = MAGIC_NAMES.get(type) ?? `a file system of type 0x${type.toString(16)}`;
    throw new CgroupRootError(`${textOf(path)} is not in cgroup2, but in ${found}`);
  } catch (error) {
    if (error instanceof CgroupRootError) throw error;
    const reason = errorText(error);
    throw new CgroupRootError(`cannot open the cgroup root: ${reason}`, { cause: error });
  }
}

/** Returns if `openCgroupRoot` would. @throws CgroupRootError */
export function checkCgroupRoot(path: ByteString): void {
  openCgroupRoot(path).close();
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
