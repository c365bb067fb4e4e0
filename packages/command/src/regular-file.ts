/**
 * Reads files of unknown type and size; imported as `@cm4all/command/regular-file`. A plain read
 * could block on a FIFO, never end on a device, and run out of memory on a very large file.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readSync,
  type Stats,
} from "node:fs";
import { CommandFailure } from "./failure.ts";
import { EX_OSERR } from "./sysexits.ts";

/**
 * The limit, in bytes, for files that people and packages write, such as configuration files and
 * units.
 */
export const MAX_TEXT_FILE = 1024 * 1024;

/**
 * Thrown for a directory, a device or a FIFO in place of a file, and for a file that is larger than
 * the caller allows.
 */
export class UnsuitableFileError extends Error {
  override readonly name = "UnsuitableFileError";
  /** The message without the path, for callers that name the file themselves. */
  readonly problem: string;

  constructor(path: string, problem: string) {
    super(`${path}: ${problem}`);
    this.problem = problem;
  }
}

/** A regular file, open for reading. */
export interface OpenFile {
  readonly fd: number;
  readonly path: string;
  readonly stats: Stats;
}

/** Node does not export this flag. @see the kernel's include/uapi/asm-generic/fcntl.h */
const O_PATH = 0o10000000;

/**
 * Opens a regular file for reading; the caller closes it. Never waits, even if `path` is a FIFO, and
 * never opens a device: merely opening one can start a watchdog or rewind a tape.
 * @param flags in addition to O_RDONLY
 * @throws UnsuitableFileError for anything but a regular file, CommandFailure if /proc is not
 * mounted, or the error of the failed system call
 */
export function openRegularFile(path: string, flags = 0): OpenFile {
  // This descriptor only marks what is at the path now; nothing is opened for reading yet.
  const found = openSync(path, O_PATH | flags);
  try {
    const stats = fstatSync(found);
    // With O_NOFOLLOW, a symbolic link is found; opening it for reading fails with ELOOP.
    if (!stats.isFile() && !stats.isSymbolicLink())
      throw new UnsuitableFileError(path, "it is not a regular file");
    return { fd: openFound(found, path), path, stats };
  } finally {
    closeSync(found);
  }
}

function openFound(found: number, path: string): number {
  const place = `/proc/self/fd/${found}`;
  try {
    return openSync(place, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // To callers, ENOENT means that the file does not exist.
    if ("code" in error && error.code === "ENOENT" && !existsSync("/proc/self/fd"))
      throw new CommandFailure("/proc is not mounted", EX_OSERR, { cause: error });
    throw Object.assign(error, { path, message: error.message.replace(place, () => path) });
  }
}

/**
 * Reads a regular file from the position of its descriptor to the end, even while the file grows.
 * @throws UnsuitableFileError if it has more than `maxBytes`, or the error of the failed system
 * call
 */
export function readBounded({ fd, path }: OpenFile, maxBytes: number): Buffer {
  const chunks: Buffer[] = [];
  let length = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(Math.min(READ_BYTES, maxBytes + 1 - length));
    const count = readSync(fd, chunk);
    if (count === 0) return Buffer.concat(chunks, length);
    chunks.push(chunk.subarray(0, count));
    length += count;
    if (length > maxBytes)
      throw new UnsuitableFileError(
        path,
        `it has more than ${maxBytes} bytes, the maximum that is read`,
      );
  }
}

const READ_BYTES = 65_536;

/**
 * Reads a file that may be of any type, because somebody else has put it there.
 * @throws UnsuitableFileError unless it is a regular file of at most `maxBytes`, or the error
 * of the failed system call
 */
export function readRegularFile(path: string, maxBytes: number): Buffer {
  const file = openRegularFile(path);
  try {
    return readBounded(file, maxBytes);
  } finally {
    closeSync(file.fd);
  }
}
