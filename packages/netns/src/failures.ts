/**
 * The failures of the program, and its exit statuses that are not in sysexits.h.
 */
import { constants } from "node:os";
import { CommandFailure, EX_NOPERM, EX_OSERR } from "@cm4all/command";

/** The set-up script failed. */
export const EXIT_SCRIPT = 1;
/** The set-up script took longer than allowed; the status is that of timeout(1). */
export const EXIT_TIMEOUT = 124;
/** Returns the status that shells use for a command that a signal has ended. */
export const exitStatusOfSignal = (signal: NodeJS.Signals): number =>
  128 + constants.signals[signal];

/**
 * Turns the error of a system call into a CommandFailure, because it is not a defect of the
 * program. A CommandFailure stays a CommandFailure; any other error is returned as it is.
 * @param prefix goes before the message of the CommandFailure, such as `FILE:LINE: `
 */
export function asFailure(error: unknown, prefix = ""): unknown {
  if (error instanceof CommandFailure)
    return prefix === ""
      ? error
      : new CommandFailure(prefix + error.message, error.exitStatus, { cause: error });
  if (!(error instanceof Error) || !("syscall" in error)) return error;
  // EPERM for root means that root lacks capabilities, as in a container.
  const status = "code" in error && error.code === "EPERM" ? EX_NOPERM : EX_OSERR;
  return new CommandFailure(prefix + error.message, status, { cause: error });
}

/** Checks the user. @throws CommandFailure if the user is not root */
export function requireRoot(): void {
  if (process.geteuid?.() !== 0)
    throw new CommandFailure("needs root, to make and enter network namespaces", EX_NOPERM);
}
