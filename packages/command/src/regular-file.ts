/**
 * Reads files of which nobody knows whether they are files, and how large:
 * `@cm4all/command/regular-file`. A FIFO would be waited for, a device read for ever, and
 * a file of a gigabyte would end the program.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";

/** What people and packages write, such as configuration files and units. */
export const MAX_TEXT_FILE = 1024 * 1024;

/** A directory, a device or a FIFO stands where a file should, or the file is far too large. */
export class UnsuitableFileError extends Error {
  override readonly name = "UnsuitableFileError";
  /** Without the path, which somebody else may name better. */
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

/**
 * Opens a regular file for reading; the caller closes it.
 * @param flags besides O_RDONLY
 * @throws UnsuitableFileError for anything else, without waiting for it, or the failed
 *   system call
 */
export function openRegularFile(path: string, flags = 0): OpenFile {
  // Without O_NONBLOCK, opening a FIFO would wait for a writer.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY | flags);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new UnsuitableFileError(path, "it is not a regular file");
    return { fd, path, stats };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Reads a regular file from where its descriptor stands, also while it grows.
 * @throws UnsuitableFileError where it has more than `maxBytes`, or the failed system call
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
        `it has more than ${maxBytes} bytes, the most that is read`,
      );
  }
}

const READ_BYTES = 65_536;

/**
 * Reads a file that may be anything, because somebody else has put it there.
 * @throws UnsuitableFileError unless it is a regular file of at most `maxBytes`, or the
 *   failed system call
 */
export function readRegularFile(path: string, maxBytes: number): Buffer {
  const file = openRegularFile(path);
  try {
    return readBounded(file, maxBytes);
  } finally {
    closeSync(file.fd);
  }
}
