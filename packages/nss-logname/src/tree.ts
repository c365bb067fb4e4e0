/**
 * A directory tree whose symbolic links cannot lead out of it. So a container's image
 * can be changed from the host although somebody else made it, or is changing it now.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  type Stats,
} from "node:fs";
import { isErrno, replaceFile } from "@cm4all/command/files";
import { child, failedCall, join, type Step, walk } from "./walk.ts";

/** A directory, a device or a FIFO stands where a file should. */
export class NotAFileError extends Error {
  override readonly name = "NotAFileError";

  constructor(path: string) {
    super(`${path} is not a regular file`);
  }
}

/** Where a path ends: a name in a directory that is held open. */
export class Place implements Disposable {
  readonly #directory: Step;
  readonly #name: string;
  /** The path in the tree, without symbolic links, such as `/etc/nsswitch.conf`. */
  readonly path: string;

  /** @param directory closed when the place is disposed of */
  constructor(directory: Step, name: string) {
    this.#directory = directory;
    this.#name = name;
    this.path = join(directory.path, name);
  }

  [Symbol.dispose](): void {
    closeSync(this.#directory.fd);
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
      fd = openSync(child(this.#directory.fd, this.#name), flags);
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
    replaceFile(child(this.#directory.fd, this.#name), content, mode, owner);
  }
}

export class Tree {
  /** The directory on this system. */
  readonly root: string;

  /** @param root an existing directory, without a slash at the end unless it is `/` */
  constructor(root: string) {
    this.root = root;
  }

  /** The path that the user of this system knows. */
  show(path: string): string {
    return this.root === "/" ? path : `${this.root}${path}`;
  }

  /**
   * Finds `path`, following symbolic links inside the tree; its last name need not
   * exist. The caller disposes of the place.
   * @throws the failed system call
   */
  locate(path: string): Place {
    const { step, last } = walk(this.root, path);
    if (last !== undefined) return new Place(step, last);
    closeSync(step.fd);
    throw failedCall("EISDIR", path);
  }

  /**
   * The content of a regular file, or undefined where there is none, as behind a
   * dangling link.
   * @throws the failed system call
   */
  tryRead(path: string): Buffer | undefined {
    try {
      using place = this.locate(path);
      return place.read()?.content;
    } catch (error) {
      if (error instanceof NotAFileError || isErrno(error, "ENOENT", "ELOOP", "EISDIR"))
        return undefined;
      throw error;
    }
  }

  /**
   * The names in a directory and where it really is, or undefined where there is none.
   * Two paths to the same directory give the same `path`.
   * @throws the failed system call
   */
  tryList(path: string): { path: string; names: string[] } | undefined {
    try {
      const { step, last } = walk(this.root, path);
      try {
        if (last !== undefined) return undefined;
        return { path: step.path, names: readdirSync(`/proc/self/fd/${step.fd}`) };
      } finally {
        closeSync(step.fd);
      }
    } catch (error) {
      if (isErrno(error, "ENOENT", "ELOOP")) return undefined;
      throw error;
    }
  }
}
