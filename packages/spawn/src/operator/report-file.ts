/** Writes the file of a report with mode 0600, because bills are confidential. */
import { closeSync, constants, lstatSync, openSync, realpathSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { CommandFailure, EX_CANTCREAT } from "@cm4all/command";
import { fileFailure, isErrno, replaceFile } from "@cm4all/command/files";

/**
 * Creates a file or replaces it atomically, so that the old file stays if this fails. A symbolic
 * link is replaced, not followed. Devices and FIFOs are written to.
 * @throws CommandFailure
 */
export function writeReport(path: string, text: Uint8Array): void {
  try {
    if (isStream(path)) writeStream(path, text);
    else replaceFile(path, text, 0o600);
  } catch (error) {
    const failure = fileFailure(`cannot write the report ${path}`, error);
    if (!(failure instanceof CommandFailure)) throw failure;
    throw new CommandFailure(failure.message, EX_CANTCREAT, { cause: error });
  }
}

/**
 * Appends to a file, which is neither truncated nor created: /dev/stdout may lead to a file that is
 * not empty.
 */
function writeStream(path: string, text: Uint8Array): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_APPEND);
  try {
    writeFileSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

/**
 * Returns whether a file is to be written to rather than replaced, because it is a device, a FIFO
 * or a link to an open descriptor.
 */
function isStream(path: string): boolean {
  // Links such as /dev/stdout and /dev/fd/3 lead to an open descriptor.
  if (/^\/(dev|proc\/.*)$/.test(realpathSync(dirname(path)))) return true;
  try {
    const stats = lstatSync(path);
    return stats.isCharacterDevice() || stats.isBlockDevice() || stats.isFIFO();
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}
