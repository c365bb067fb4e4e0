/**
 * A directory tree whose symbolic links cannot lead out of it; imported as
 * `@cm4all/command/tree`. So it is safe to change the image of a container from the host, even if
 * somebody else has made the image, or is changing it at the same time.
 */
import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { resolve } from "node:path";
import { CommandFailure } from "./failure.ts";
import { fileFailure, isErrno, replaceFile } from "./files.ts";
import {
  type OpenFile,
  openRegularFile,
  readBounded,
  UnsuitableFileError,
} from "./regular-file.ts";
import { EX_NOINPUT, EX_OSERR, EX_USAGE } from "./sysexits.ts";
import { child, failedCall, join, openDirectory, openPath, type Step, walk } from "./walk.ts";

/** The end of a path: a name in a directory that is held open. */
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
   * Reads the file at this place; returns undefined if there is none.
   * @throws UnsuitableFileError if it is not a regular file or has more than `maxBytes`, or the
   * error of the failed system call
   */
  read(maxBytes: number): { content: Buffer; stats: Stats } | undefined {
    return this.#tryOpen((file) => ({ content: readBounded(file, maxBytes), stats: file.stats }));
  }

  /** Does the same for the beginning of the file, which may have any size. */
  readBeginning(bytes: number): Buffer | undefined {
    return this.#tryOpen(({ fd }) => {
      const buffer = Buffer.alloc(bytes);
      return buffer.subarray(0, readSync(fd, buffer));
    });
  }

  #tryOpen<T>(read: (file: OpenFile) => T): T | undefined {
    let file: OpenFile;
    try {
      file = openRegularFile(child(this.#directory.fd, this.#name), constants.O_NOFOLLOW);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw error;
    }
    try {
      return read(file);
    } finally {
      closeSync(file.fd);
    }
  }

  /** Creates or replaces the file, atomically. @throws the error of the failed system call */
  replace(content: Uint8Array, mode: number, owner?: { uid: number; gid: number }): void {
    replaceFile(child(this.#directory.fd, this.#name), content, mode, owner);
  }
}

/** A directory that is held open. Names are looked up in it; symbolic links are not followed. */
export class TreeDirectory implements Disposable {
  readonly #step: Step;

  /** @param step closed when the directory is disposed of */
  constructor(step: Step) {
    this.#step = step;
  }

  [Symbol.dispose](): void {
    closeSync(this.#step.fd);
  }

  names(): string[] {
    return readdirSync(openPath(this.#step.fd));
  }

  /**
   * Returns the file, or other object, of that name.
   * @throws UnsuitableFileError for a file of more than `maxBytes`, or the error of the failed
   * system call
   */
  look(name: string, maxBytes: number): Found {
    const path = child(this.#step.fd, name);
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return { kind: "nothing" };
    if (stats.isSymbolicLink())
      return { kind: "special", what: `a symbolic link to ${readlinkSync(path)}` };
    if (!stats.isFile()) return { kind: "special", what: "not a regular file" };
    // Fails if somebody has replaced the file with a symbolic link in the meantime.
    const file = openRegularFile(path, constants.O_NOFOLLOW);
    try {
      return { kind: "file", content: readBounded(file, maxBytes) };
    } finally {
      closeSync(file.fd);
    }
  }

  /** Creates or replaces a file, atomically. @throws the error of the failed system call */
  replace(name: string, content: string | Uint8Array, mode: number): void {
    replaceFile(child(this.#step.fd, name), content, mode);
  }

  /**
   * Removes the file of that name.
   * @throws the error of the failed system call, such as EISDIR for a directory
   */
  remove(name: string): void {
    unlinkSync(child(this.#step.fd, name));
  }
}

export type Found =
  | { readonly kind: "nothing" }
  | { readonly kind: "file"; readonly content: Buffer }
  | { readonly kind: "special"; readonly what: string };

/**
 * A directory tree that is treated as the root file system of a system. Its root directory is held
 * open, so it stays the same if somebody replaces the directory at its path.
 */
export class Tree implements Disposable {
  readonly #fd: number;
  /** The path that the tree had on this system when it was opened. */
  readonly root: string;

  /**
   * Opens the tree. The owner disposes of it.
   * @param root an existing directory
   * @throws the error of the failed system call
   */
  constructor(root: string) {
    this.#fd = openDirectory(root);
    this.root = readlinkSync(openPath(this.#fd));
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  /** Returns the path on this system for a path in the tree. */
  show(path: string): string {
    return this.root === "/" ? path : `${this.root}${path}`;
  }

  /** Resolves a path from the user; in an image, a relative path starts at the image's root. */
  resolve(path: string): string {
    return this.root === "/" ? resolve(path) : resolve("/", path);
  }

  /**
   * Finds `path`, following symbolic links inside the tree; its last name need not exist. The
   * caller disposes of the place.
   * @throws the error of the failed system call
   */
  locate(path: string): Place {
    const { step, last } = walk(this.#fd, path);
    if (last !== undefined) return new Place(step, last);
    closeSync(step.fd);
    throw failedCall("EISDIR", path);
  }

  /** Does the same, but returns undefined if a directory on the way is missing. */
  tryLocate(path: string): Place | undefined {
    try {
      return this.locate(path);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  /**
   * Returns true if `path` leads to a regular file, also through symbolic links.
   * @throws the error of the failed system call
   */
  has(path: string): boolean {
    return this.tryReadBeginning(path, 1) !== undefined;
  }

  /**
   * Opens a directory, following symbolic links inside the tree. The caller disposes of it.
   * @returns undefined if there is none
   * @throws the error of the failed system call
   */
  tryOpenDirectory(path: string): TreeDirectory | undefined {
    const step = this.#tryStep(path);
    return step === undefined ? undefined : new TreeDirectory(step);
  }

  /** Does the same, but creates missing directories. @throws the error of the failed system call */
  makeDirectory(path: string): TreeDirectory {
    return new TreeDirectory(walk(this.#fd, path, "make").step);
  }

  /**
   * Returns the content of a regular file; undefined if there is none, as at the end of a dangling
   * link, or if it has more than `maxBytes`.
   * @throws the error of the failed system call
   */
  tryRead(path: string, maxBytes: number): Buffer | undefined {
    return this.#tryOpen(path, (place) => place.read(maxBytes)?.content);
  }

  /**
   * Does the same for the beginning of a file, which may have any size.
   * @throws the error of the failed system call
   */
  tryReadBeginning(path: string, bytes: number): Buffer | undefined {
    return this.#tryOpen(path, (place) => place.readBeginning(bytes));
  }

  #tryOpen<T>(path: string, read: (place: Place) => T | undefined): T | undefined {
    try {
      using place = this.locate(path);
      return read(place);
    } catch (error) {
      if (error instanceof UnsuitableFileError || isErrno(error, "ENOENT", "ELOOP", "EISDIR"))
        return undefined;
      throw error;
    }
  }

  /**
   * Returns the names in a directory and its real path; undefined if there is no such directory.
   * Two paths to the same directory give the same `path`.
   * @throws the error of the failed system call
   */
  tryList(path: string): { path: string; names: string[] } | undefined {
    const step = this.#tryStep(path);
    if (step === undefined) return undefined;
    using directory = new TreeDirectory(step);
    return { path: step.path, names: directory.names() };
  }

  #tryStep(path: string): Step | undefined {
    try {
      const { step, last } = walk(this.#fd, path);
      if (last === undefined) return step;
      closeSync(step.fd);
      return undefined;
    } catch (error) {
      if (isErrno(error, "ENOENT", "ELOOP")) return undefined;
      throw error;
    }
  }
}

/**
 * Opens the tree that the option `--root` names; without it, that of the running system. The caller
 * disposes of it.
 * @throws CommandFailure if it cannot be used
 */
export function openTree(root: string | undefined): Tree {
  // An empty name, such as that of an unset variable in a script, would mean the current directory.
  if (root === "") throw new CommandFailure("--root: the name is empty", EX_USAGE);
  if (!existsSync("/proc/self/fd")) throw new CommandFailure("/proc is not mounted", EX_OSERR);
  if (root === undefined) return new Tree("/");
  try {
    return new Tree(root);
  } catch (error) {
    if (isErrno(error, "ENOTDIR"))
      throw new CommandFailure(`${root}: it is not a directory`, EX_NOINPUT, { cause: error });
    throw fileFailure(`cannot use the root directory ${root}`, error);
  }
}
