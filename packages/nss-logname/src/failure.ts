/** Turns errors into messages for the user, which name the file by its path on this system. */
import { CommandFailure, EX_CONFIG, EX_DATAERR } from "@cm4all/command";
import { fileFailure, isErrno } from "@cm4all/command/files";
import { NsswitchError } from "./nsswitch.ts";

/**
 * Runs `action`; the error of a failed system call becomes a CommandFailure.
 * @param doing the beginning of the message, such as `cannot write /etc/x`
 */
export function explained<T>(doing: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (isErrno(error, "EBUSY"))
      throw new CommandFailure(
        `${doing}: it is a mount point; change the file that is mounted there`,
        EX_DATAERR,
        { cause: error },
      );
    throw fileFailure(doing, error);
  }
}

/** Returns `FILE:LINE: problem`, or `FILE: problem` if the mistake is not in a line. */
export function describeMistake(path: string, { line, message }: NsswitchError): string {
  return `${line === undefined ? path : `${path}:${line}`}: ${message}`;
}

/** Runs `action`; an NsswitchError becomes a CommandFailure about the file. */
export function checked<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof NsswitchError)) throw error;
    throw new CommandFailure(describeMistake(path, error), EX_CONFIG, { cause: error });
  }
}
