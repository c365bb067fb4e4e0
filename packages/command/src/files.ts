/**
 * Files that a command reads and replaces, below a directory that `--root` may name.
 * A module of its own: `@cm4all/command/files`.
 */
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { getSystemErrorMap } from "node:util";
import { CommandFailure } from "./failure.ts";
import { EX_DATAERR, EX_IOERR, EX_NOINPUT, EX_NOPERM } from "./sysexits.ts";

/** Whether `error` is a failed system call with one of these errno names. */
export function isErrno(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

/**
 * What to tell about a failed file operation.
 * @param doing such as `cannot write /etc/x`
 * @returns `error` itself where it is no failed system call
 */
export function fileFailure(doing: string, error: unknown): unknown {
  const errno = error instanceof Error && "errno" in error ? Number(error.errno) : Number.NaN;
  const [code, text] = getSystemErrorMap().get(errno) ?? [];
  if (code === undefined) return error;
  const refused = code === "EACCES" || code === "EPERM";
  const hint = refused && process.getuid?.() !== 0 ? "; try it as root" : "";
  const status = refused ? EX_NOPERM : code === "ENOENT" ? EX_NOINPUT : EX_IOERR;
  return new CommandFailure(`${doing}: ${code}: ${text}${hint}`, status, { cause: error });
}

/**
 * Makes or replaces a file in one step: whoever reads it, also after a crash, finds the
 * old content or the new one. A symbolic link is replaced, not followed.
 * @param mode the new file's, whatever the umask is
 * @param owner the new file's, where it is not who runs this
 * @throws the failed system call; nothing is left of the attempt then
 */
export function replaceFile(
  path: string,
  content: string | Uint8Array,
  mode: number,
  owner?: { uid: number; gid: number },
): void {
  const directory = dirname(path);
  // A name that starts with a dot is no unit to systemd and no snippet to anybody.
  const temporary = join(directory, `.${basename(path)}.${process.pid}`);
  const fd = openSync(temporary, "wx", 0o600);
  try {
    try {
      writeFileSync(fd, content);
      if (owner !== undefined) fchownSync(fd, owner.uid, owner.gid);
      fchmodSync(fd, mode);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncDirectory(directory);
}

/** Makes the new name of a file as lasting as its contents. */
function syncDirectory(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * The place of the absolute `path` in the tree of a container or an image.
 * @param root the tree's directory, which has to exist; undefined for the running system
 * @throws CommandFailure where a symbolic link in the tree leads out of it: such a link
 *   means another file on this machine than it does in the container
 */
export function belowRoot(root: string | undefined, path: string): string {
  if (root === undefined) return path;
  let realRoot: string;
  try {
    realRoot = realpathSync(root);
  } catch (error) {
    throw fileFailure(`cannot use the root directory ${root}`, error);
  }
  const place = join(realRoot, resolve("/", path));
  const real = realpathOfExisting(place);
  if (realRoot !== "/" && real !== realRoot && !real.startsWith(`${realRoot}/`))
    throw new CommandFailure(
      `${place}: a symbolic link in it leads out of ${realRoot}, to ${real}`,
      EX_DATAERR,
    );
  return place;
}

/** The real path of `path`, or of the nearest directory above it that exists. */
function realpathOfExisting(path: string): string {
  for (let existing = path; ; existing = dirname(existing)) {
    try {
      return realpathSync(existing);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw fileFailure(`cannot use ${path}`, error);
    }
  }
}
