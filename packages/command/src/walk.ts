/**
 * Walks a path below a root directory as the kernel would after chroot(2): absolute symbolic links
 * and `..` stay inside. Every directory on the way is held open, and only single names are looked
 * up in it, never a whole path, so that changes to the tree in the meantime do no harm.
 *
 * Node has no openat(2); `/proc/self/fd/N/NAME` does the same, so /proc is needed.
 *
 * @see path_resolution(7), openat2(2) RESOLVE_IN_ROOT
 */
import { closeSync, constants, mkdirSync, openSync, readlinkSync } from "node:fs";
import { constants as osConstants } from "node:os";
import { isErrno } from "./files.ts";

/** The greatest number of symbolic links that the kernel follows for one path. */
const maxLinks = 40;

/** A directory that is held open, with its path below the root. */
export interface Step {
  readonly fd: number;
  readonly path: string;
}

/** Returns an error like that of a failed system call. */
export function failedCall(code: "ENOENT" | "EISDIR" | "ELOOP" | "ENOTDIR", path: string): Error {
  const errno = -osConstants.errno[code];
  return Object.assign(new Error(`${code}: ${path}`), { code, errno, path });
}

/** Returns a path that leads to an open file or directory, for system calls. */
export function openPath(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

/** Returns the path of a name in an open directory, for system calls. */
export function child(fd: number, name: string): string {
  return `${openPath(fd)}/${name}`;
}

/** Returns the path of an entry of a directory, without checking that either exists. */
export function join(directory: string, name: string): string {
  return directory === "/" ? `/${name}` : `${directory}/${name}`;
}

/**
 * Walks `path` below `root`, an open directory.
 * @param missing `make` to create missing directories with mode 0755, including the last name
 * @returns the last name, which is not a symbolic link and need not exist, and its directory, which
 * the caller closes; if `path` leads to a directory, that directory and no name
 * @throws the error of the failed system call
 */
export function walk(
  root: number,
  path: string,
  missing: "keep" | "make" = "keep",
): { step: Step; last: string | undefined } {
  let top: Step = { fd: openDirectory(openPath(root)), path: "/" };
  const above: Step[] = [];
  const leave = (): void => {
    const parent = above.pop();
    // The parent of the root is the root.
    if (parent === undefined) return;
    closeSync(top.fd);
    top = parent;
  };
  try {
    const names = path.split("/");
    let links = 0;
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      if (name === "" || name === ".") continue;
      if (name === "..") {
        leave();
        continue;
      }
      const fd = tryOpenDirectory(child(top.fd, name));
      if (fd !== undefined) {
        above.push(top);
        top = { fd, path: join(top.path, name) };
        continue;
      }
      const target = tryReadlink(child(top.fd, name));
      if (target === undefined) {
        if (missing === "make") {
          if (!tryMakeDirectory(child(top.fd, name)))
            throw failedCall("ENOTDIR", join(top.path, name));
          names.unshift(name);
          continue;
        }
        if (names.some((rest) => rest !== "")) throw failedCall("ENOENT", join(top.path, name));
        return { step: top, last: name };
      }
      links += 1;
      if (links > maxLinks) throw failedCall("ELOOP", path);
      if (target.startsWith("/")) while (above.length > 0) leave();
      names.unshift(...target.split("/"));
    }
    return { step: top, last: undefined };
  } catch (error) {
    closeSync(top.fd);
    throw error;
  } finally {
    for (const { fd } of above) closeSync(fd);
  }
}

/**
 * Opens a directory; the caller closes it.
 * @throws the error of the failed system call
 */
export function openDirectory(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
}

/** Opens a directory. @returns undefined if there is none, or a symbolic link in its place */
function tryOpenDirectory(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    if (isErrno(error, "ENOTDIR", "ELOOP", "ENOENT")) return undefined;
    throw error;
  }
}

/** Creates a directory. @returns false if there is something else of that name */
function tryMakeDirectory(path: string): boolean {
  try {
    mkdirSync(path, 0o755);
    return true;
  } catch (error) {
    // Somebody else may just have created the directory, or a file has this name.
    if (isErrno(error, "EEXIST")) return tryClose(tryOpenDirectory(path));
    throw error;
  }
}

function tryClose(fd: number | undefined): boolean {
  if (fd === undefined) return false;
  closeSync(fd);
  return true;
}

/** Returns the target of a symbolic link; undefined if `path` is not one. */
function tryReadlink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isErrno(error, "EINVAL", "ENOENT")) return undefined;
    throw error;
  }
}
