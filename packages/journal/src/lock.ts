/**
 * Locks a journal, which has one owner at a time: the daemon, or a command while no daemon is
 * running.
 */
import { constants, openSync } from "node:fs";
import { Fd, tryFlock } from "@cm4all/linux";

/**
 * Locks a journal's directory, which has to exist, until the returned descriptor is closed. The
 * caller owns the descriptor; children do not inherit it.
 * @returns undefined if the directory is locked already, by this process or another
 * @throws Node's system errors; SyscallError
 */
export function tryLockJournal(directory: string): Fd | undefined {
  const fd = new Fd(openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY));
  try {
    if (tryFlock(fd.number)) return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
  fd.close();
  return undefined;
}
