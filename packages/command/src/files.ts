/**
 * Replaces files, and explains errors of file operations; imported as `@cm4all/command/files`. For
 * files in somebody else's tree, such as that of `--root`, see tree.ts.
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
import { EX_DATAERR, EX_IOERR, EX_NOINPUT, EX_NOPERM, EX_OSERR } from "./sysexits.ts";

/** Returns true if `error` is from a system call that failed with one of these errno names. */
export function isErrno(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

/**
 * Returns the failure that a command reports for a failed file operation.
 * @param doing the beginning of the message, such as `cannot write /etc/x`
 * @returns `error` itself if it is neither the error of a system call nor an UnsuitableFileError
 */
export function fileFailure(doing: string, error: unknown): unknown {
  if (error instanceof UnsuitableFileError)
    return new CommandFailure(`${doing}: ${error.problem}`, EX_DATAERR, { cause: error });
  const errno = error instanceof Error && "errno" in error ? Number(error.errno) : Number.NaN;
  const [code, text] = getSystemErrorMap().get(errno) ?? [];
  if (code === undefined) return error;
  const refused = code === "EACCES" || code === "EPERM";
  const hint = refused && process.getuid?.() !== 0 ? "; try it as root" : "";
  return new CommandFailure(`${doing}: ${code}: ${text}${hint}`, statusOf(code), { cause: error });
}

/** Returns the exit status for the errno of a failed file operation. */
function statusOf(code: string): number {
  if (code === "EACCES" || code === "EPERM") return EX_NOPERM;
  if (code === "ENOENT") return EX_NOINPUT;
  // Descriptors or memory are short; nothing is wrong with the file.
  if (code === "EMFILE" || code === "ENFILE" || code === "ENOMEM") return EX_OSERR;
  return EX_IOERR;
}

/**
 * Creates or replaces a file atomically: a reader finds either the old content or the new, even
 * after a crash. A symbolic link is replaced, not followed. Also removes the temporary files that
 * killed runs have left behind, if they are older than ten minutes.
 * @param mode the mode of the new file, whatever the umask is
 * @param owner the owner of the new file; by default the user of the process
 * @throws the error of the failed system call; no temporary file is left in that case
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
  tryRemoveLeftovers(directory, basename(path), written);
  syncDirectory(directory);
}

/**
 * Writes the temporary file. Fails if there is a file of that name already, by chance or by malice
 * (O_EXCL).
 */
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

/**
 * The digits need not be secret, because the file is created with O_EXCL. So they do not come from
 * Node's crypto module, which takes time to load.
 */
const randomDigits = (): string =>
  Math.floor(Math.random() * 16 ** RANDOM_DIGITS)
    .toString(16)
    .padStart(RANDOM_DIGITS, "0");

/**
 * The age above which a temporary file is a leftover: no run takes that long from creating its
 * temporary file to renaming it.
 */
const LEFTOVER_MS = 600_000;

/**
 * Returns a name for the temporary file. It starts with a dot, so that no program reads the file
 * as a unit or a configuration snippet. It has random digits instead of a process ID, because
 * processes in different containers may have the same ID.
 */
const temporaryName = (name: string): string => `${stemOf(name)}.${randomDigits()}.new`;

/**
 * Returns the beginning of the temporary name, cut so that there is room for the rest: a name has
 * at most 255 bytes.
 */
function stemOf(name: string): string {
  let stem = "";
  let bytes = 0;
  for (const character of `.${name}`) {
    bytes += Buffer.byteLength(character);
    if (bytes > 220) break;
    stem += character;
  }
  return stem;
}

/** The end of a temporary name. */
const LEFTOVER = /^\.[0-9a-f]{12}\.new$/;

/**
 * Removes old temporary files. One that cannot be removed, such as another user's in a directory
 * with the sticky bit, does no harm, and the replacement has succeeded; so errors are ignored.
 * @param written the status of the new file, whose modification time serves as the current time
 */
function tryRemoveLeftovers(directory: string, name: string, written: Stats): void {
  const stem = stemOf(name);
  const isLeftover = (found: string) =>
    found.startsWith(stem) && LEFTOVER.test(found.slice(stem.length));
  const names = orOnRefusal([], () => readdirSync(directory));
  for (const found of names.filter(isLeftover))
    orOnRefusal(undefined, () => {
      const path = join(directory, found);
      const stats = lstatSync(path);
      if (stats.isFile() && written.mtimeMs - stats.mtimeMs > LEFTOVER_MS) rmSync(path);
    });
}

/** Returns the result of `work`, or `otherwise` if a system call fails. */
function orOnRefusal<T>(otherwise: T, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof Error && "errno" in error) return otherwise;
    throw error;
  }
}

/** Syncs the directory, so that the new name of a file is as durable as its contents. */
function syncDirectory(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
