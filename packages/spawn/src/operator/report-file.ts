/** The file of a report. Bills are nobody else's business: it is its owner's alone. */
import { closeSync, constants, lstatSync, openSync, realpathSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { CommandFailure, EX_CANTCREAT } from "@cm4all/command";
import { fileFailure, isErrno, replaceFile } from "@cm4all/command/files";

/**
 * Makes or replaces a file in one step, so that a failure leaves the old one. A symbolic link is
 * replaced, not followed. Devices and FIFOs are written to.
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

/** Nothing is cut off or made: /dev/stdout may be a file that has more than this in it. */
function writeStream(path: string, text: Uint8Array): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_APPEND);
  try {
    writeFileSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

/** Whether it cannot be replaced: it is a device or a FIFO, or stands for a descriptor. */
function isStream(path: string): boolean {
  // Links such as /dev/stdout and /dev/fd/3 lead to whatever the descriptor is.
  if (/^\/(dev|proc\/.*)$/.test(realpathSync(dirname(path)))) return true;
  try {
    const stats = lstatSync(path);
    return stats.isCharacterDevice() || stats.isBlockDevice() || stats.isFIFO();
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}
