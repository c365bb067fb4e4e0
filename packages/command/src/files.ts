/**
 * Files that a command reads and replaces. A module of its own: `@cm4all/command/files`.
 * Those of somebody else's tree, as `--root` names one, are in tree.ts.
 */
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  type Stats,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { getSystemErrorMap } from "node:util";
import { CommandFailure } from "./failure.ts";
import { UnsuitableFileError } from "./regular-file.ts";
import { EX_DATAERR, EX_IOERR, EX_NOINPUT, EX_NOPERM } from "./sysexits.ts";

/** Whether `error` is a failed system call with one of these errno names. */
export function isErrno(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

/**
 * What to tell about a failed file operation.
 * @param doing such as `cannot write /etc/x`
 * @returns `error` itself where it is neither a failed system call nor an unsuitable file
 */
export function fileFailure(doing: string, error: unknown): unknown {
  if (error instanceof UnsuitableFileError)
    return new CommandFailure(`${doing}: ${error.problem}`, EX_DATAERR, { cause: error });
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
 * old content or the new one. A symbolic link is replaced, not followed. What earlier
 * attempts have left behind that were killed is removed.
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
  const temporary = temporaryName(basename(path));
  const written = writeTemporary(join(directory, temporary), content, mode, owner);
  try {
    renameSync(join(directory, temporary), path);
  } catch (error) {
    rmSync(join(directory, temporary), { force: true });
    throw error;
  }
  removeLeftovers(directory, basename(path), written);
  syncDirectory(directory);
}

/** Whatever has the same name by chance or on purpose is an error: O_EXCL. */
function writeTemporary(
  path: string,
  content: string | Uint8Array,
  mode: number,
  owner: { uid: number; gid: number } | undefined,
): Stats {
  const fd = openSync(path, "wx", 0o600);
  try {
    writeFileSync(fd, content);
    if (owner !== undefined) fchownSync(fd, owner.uid, owner.gid);
    fchmodSync(fd, mode);
    fsyncSync(fd);
    return fstatSync(fd);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

const RANDOM_DIGITS = 12;

/** Not secret: O_EXCL guards the name. Node's crypto takes a command time to load. */
const randomDigits = (): string =>
  Math.floor(Math.random() * 16 ** RANDOM_DIGITS)
    .toString(16)
    .padStart(RANDOM_DIGITS, "0");

/** Nobody takes longer from making the temporary file to renaming it. */
const LEFTOVER_MS = 600_000;

/**
 * A name that starts with a dot is no unit to systemd and no snippet to anybody. It is
 * random because a process ID is the same in each container.
 */
const temporaryName = (name: string): string => `${stemOf(name)}.${randomDigits()}.new`;

/** Cut, so that there is room for the rest: a name has at most 255 bytes. */
const stemOf = (name: string): string => `.${name}`.slice(0, 220);

/** A name of ours; before, it ended with a process ID. */
const LEFTOVER = /^(?:\.[0-9a-f]{12}\.new|\.\d{1,7})$/;

/** @param written the file that was written now, by whose clock the others are old */
function removeLeftovers(directory: string, name: string, written: Stats): void {
  const stem = stemOf(name);
  for (const found of readdirSync(directory)) {
    if (!found.startsWith(stem) || !LEFTOVER.test(found.slice(stem.length))) continue;
    const path = join(directory, found);
    try {
      const stats = lstatSync(path);
      if (stats.isFile() && written.mtimeMs - stats.mtimeMs > LEFTOVER_MS) rmSync(path);
    } catch (error) {
      // Another run has removed it.
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
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
