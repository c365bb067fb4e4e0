/**
 * A directory tree that is walked as chroot(2) would walk it: absolute symbolic
 * links and `..` stay inside. So a container's image can be changed from the host
 * although somebody else made it, or is changing it right now: every directory is
 * held open and each name is looked up in it, never a whole path.
 *
 * Node has no openat(2); `/proc/self/fd/N/NAME` does the same, so /proc is needed.
 *
 * @see path_resolution(7), openat2(2) RESOLVE_IN_ROOT
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  type Stats,
} from "node:fs";
import { constants as osConstants } from "node:os";
import { isErrno, replaceFile } from "@cm4all/command/files";

/** As many as the kernel follows. */
const maxLinks = 40;

/** An error as a failed system call gives it. */
function failedCall(code: "ENOENT" | "EISDIR" | "ELOOP", path: string): Error {
  const errno = -osConstants.errno[code];
  return Object.assign(new Error(`${code}: ${path}`), { code, errno, path });
}

/** A directory that is held open, with its path in the tree. */
interface Step {
  readonly fd: number;
  readonly path: string;
}

/** A directory, a device or a FIFO stands where a file should. */
export class NotAFileError extends Error {
  override readonly name = "NotAFileError";

  constructor(path: string) {
    super(`${path} is not a regular file`);
  }
}

/** Where a path ends: a name in a directory that is held open. */
export class Place implements Disposable {
  readonly #step: Step;
  readonly #name: string;
  /** The path in the tree, without symbolic links, such as `/etc/nsswitch.conf`. */
  readonly path: string;

  constructor(step: Step, name: string) {
    this.#step = step;
    this.#name = name;
    this.path = join(step.path, name);
  }

  [Symbol.dispose](): void {
    closeSync(this.#step.fd);
  }

  /**
   * The regular file that is here, or undefined where nothing is.
   * @throws NotAFileError, or the failed system call
   */
  read(): { content: Buffer; stats: Stats } | undefined {
    // Without O_NONBLOCK, opening a FIFO would wait for a writer.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    let fd: number;
    try {
      fd = openSync(child(this.#step.fd, this.#name), flags);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw error;
    }
    try {
      const stats = fstatSync(fd);
      if (!stats.isFile()) throw new NotAFileError(this.path);
      return { content: readFileSync(fd), stats };
    } finally {
      closeSync(fd);
    }
  }

  /** Puts a file here, in one step. @throws the failed system call */
  replace(content: Uint8Array, mode: number, owner?: { uid: number; gid: number }): void {
    replaceFile(child(this.#step.fd, this.#name), content, mode, owner);
  }
}

export class Tree {
  /** The directory on this system. */
  readonly root: string;

  /** @param root an existing directory; symbolic links in this very path are followed */
  constructor(root: string) {
    this.root = root;
  }

  /** The path that the user of this system knows. */
  show(path: string): string {
    return this.root === "/" ? path : `${this.root.replace(/\/+$/, "")}${path}`;
  }

  /**
   * Finds `path`, following symbolic links inside the tree; its last name need not
   * exist. The caller disposes of the place.
   * @throws the failed system call
   */
  locate(path: string): Place {
    const { steps, last } = this.#walk(path);
    const step = steps.pop();
    for (const { fd } of steps) closeSync(fd);
    if (step === undefined) throw failedCall("ENOENT", path);
    if (last === undefined) {
      closeSync(step.fd);
      throw failedCall("EISDIR", path);
    }
    return new Place(step, last);
  }

  /**
   * The names in the directory and where it really is, or undefined where there is
   * none. Two paths to the same directory have the same `path`.
   * @throws the failed system call
   */
  tryList(path: string): { path: string; names: string[] } | undefined {
    const { steps, last } = this.#walk(path);
    try {
      const step = steps.at(-1);
      if (last !== undefined || step === undefined) return undefined;
      return { path: step.path, names: readdirSync(`/proc/self/fd/${step.fd}`) };
    } finally {
      for (const { fd } of steps) closeSync(fd);
    }
  }

  /**
   * Opens one directory after the other.
   * @returns the open directories, which the caller closes, and the last name where
   * it is no directory
   */
  #walk(path: string): { steps: Step[]; last: string | undefined } {
    const steps: Step[] = [];
    try {
      steps.push({ fd: openDirectory(this.root), path: "/" });
      const names = path.split("/");
      let links = 0;
      for (;;) {
        const name = names.shift();
        if (name === undefined) return { steps, last: undefined };
        const top = steps.at(-1);
        if (name === "" || name === "." || top === undefined) continue;
        if (name === "..") {
          // The root's parent is the root.
          if (steps.length > 1) closeTop(steps);
          continue;
        }
        const fd = tryOpenDirectory(child(top.fd, name));
        if (fd !== undefined) {
          steps.push({ fd, path: join(top.path, name) });
          continue;
        }
        const target = tryReadlink(child(top.fd, name));
        if (target !== undefined) {
          links += 1;
          if (links > maxLinks) throw failedCall("ELOOP", path);
          if (target.startsWith("/")) while (steps.length > 1) closeTop(steps);
          names.unshift(...target.split("/"));
        } else if (names.every((rest) => rest === "")) {
          return { steps, last: name };
        } else {
          throw failedCall("ENOENT", join(top.path, name));
        }
      }
    } catch (error) {
      for (const { fd } of steps) closeSync(fd);
      throw error;
    }
  }
}

function join(directory: string, name: string): string {
  return directory === "/" ? `/${name}` : `${directory}/${name}`;
}

function child(fd: number, name: string): string {
  return `/proc/self/fd/${fd}/${name}`;
}

function closeTop(steps: Step[]): void {
  const top = steps.pop();
  if (top !== undefined) closeSync(top.fd);
}

function openDirectory(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
}

/** Undefined where `path` is no directory, as with a symbolic link. */
function tryOpenDirectory(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    if (isErrno(error, "ENOTDIR", "ELOOP", "ENOENT")) return undefined;
    throw error;
  }
}

/** Undefined where `path` is no symbolic link. */
function tryReadlink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isErrno(error, "EINVAL", "ENOENT")) return undefined;
    throw error;
  }
}
