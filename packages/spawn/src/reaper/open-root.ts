/**
 * Opens directories of a tree from one open root directory: whatever is mounted or renamed
 * elsewhere, nothing outside the tree is reached. cgroupfs has no symbolic links, and its
 * directories cannot be renamed: as long as a directory exists, its path leads to it.
 *
 * A path is empty or starts with `/`.
 */
import { constants, openSync, statfsSync } from "node:fs";
import {
  type ByteString,
  bytesOfLatin1,
  errorText,
  Fd,
  type FileStatus,
  isErrno,
  latin1Of,
  nodePathOf,
  O_PATH,
  openDirectoryAt,
  statusOf,
  textOf,
  tryStatusAt,
} from "@cm4all/linux";

const O_CLOEXEC = 0o2000000;
const O_DIRECTORY_ONLY = constants.O_DIRECTORY | constants.O_NOFOLLOW | O_CLOEXEC;

/** The type of cgroup2, and the types of what administrators mistake for it. @see statfs(2) */
const CGROUP2_MAGIC = 0x63677270;
const MAGIC_NAMES = new Map([
  [0x27e0eb, "cgroup v1"],
  [0x01021994, "tmpfs"],
  [0x62656572, "sysfs"],
  [0xef53, "ext4"],
]);

/** The maximum length of a step; a longer path takes several steps. PATH_MAX is 4096 bytes. */
const STEP_BYTES = 3500;

/** Walks to `path` in steps, and calls `use` at the last step. @param path as latin1, relative */
function walk<T>(fd: number, path: string, use: (fd: number, path: ByteString) => T): T {
  if (path.length <= STEP_BYTES) return use(fd, bytesOfLatin1(path));
  const cut = path.lastIndexOf("/", STEP_BYTES);
  const step = openDirectoryAt(fd, bytesOfLatin1(path.slice(0, cut)), O_PATH);
  try {
    return walk(step.number, path.slice(cut + 1), use);
  } finally {
    step.close();
  }
}

/** The cgroup root is not in cgroup2, or cannot be opened. */
export class CgroupRootError extends Error {
  override readonly name = "CgroupRootError";
  /** A code, like those of Node's own errors: it shows that this is not a defect of the program. */
  readonly code = "ERR_CGROUP_ROOT";
}

/**
 * Opens the root of the cgroups, which the caller closes.
 * @param path the mount point of cgroup2, or a directory below it
 * @throws CgroupRootError with one line that names the problem
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

/** Checks that `openCgroupRoot` would succeed. @throws CgroupRootError if not */
export function checkCgroupRoot(path: ByteString): void {
  openCgroupRoot(path).close();
}

/** An open root directory, which its owner closes. */
export class OpenRoot {
  readonly #directory: Fd;
  /** The device number of the file system. A directory with another number is a mount point. */
  readonly device: number;

  constructor(path: ByteString) {
    this.#directory = new Fd(openSync(nodePathOf(path), O_DIRECTORY_ONLY));
    this.device = statusOf(this.fd).device;
  }

  get fd(): number {
    return this.#directory.number;
  }

  /**
   * Calls `use` with an open directory and the path relative to it. Both are valid only during the
   * call.
   */
  at<T>(path: ByteString, use: (directoryFd: number, path: ByteString) => T): T {
    return walk(this.fd, latin1Of(path).slice(1), use);
  }

  /**
   * Returns the status of a directory; undefined if the directory or one above it is gone.
   * @throws system errors
   */
  tryStatus(path: ByteString): FileStatus | undefined {
    try {
      return this.at(path, tryStatusAt);
    } catch (error) {
      // A long path is walked in steps, and the directory of each step can be gone.
      if (isErrno(error, "ENOENT", "ENODEV")) return undefined;
      throw error;
    }
  }

  /** Opens a directory for the duration of `use`. */
  withDirectory<T>(path: ByteString, use: (fd: number) => T): T {
    const directory = this.openDirectory(path);
    try {
      return use(directory.number);
    } finally {
      directory.close();
    }
  }

  /** Opens a directory, which the caller closes. */
  openDirectory(path: ByteString): Fd {
    return this.at(path, (fd, relative) =>
      openDirectoryAt(fd, latin1Of(relative) === "" ? SELF : relative),
    );
  }

  /** Closes the directory. */
  close(): void {
    this.#directory.close();
  }
}

const SELF = bytesOfLatin1(".");
