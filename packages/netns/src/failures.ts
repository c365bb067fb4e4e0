/** The kinds of failure that the exit status tells apart, besides those of sysexits.h. */
import { constants } from "node:os";
import { CommandFailure, EX_NOPERM, EX_OSERR } from "@cm4all/command";

/** The set-up script failed. */
export const EXIT_SCRIPT = 1;
/** The set-up script took longer than allowed, as timeout(1) says it. */
export const EXIT_TIMEOUT = 124;
/** As shells say that a signal ended a command. */
export const exitStatusOfSignal = (signal: NodeJS.Signals): number =>
  128 + constants.signals[signal];

/**
 * What to tell about an error: a system call that failed is no defect of ours.
 * @param prefix such as `FILE:LINE: `
 */
export function asFailure(error: unknown, prefix = ""): unknown {
  if (error instanceof CommandFailure)
    return prefix === ""
      ? error
      : new CommandFailure(prefix + error.message, error.exitStatus, { cause: error });
  if (!(error instanceof Error) || !("syscall" in error)) return error;
  // Root is refused where it lacks capabilities, in a container.
  const status = "code" in error && error.code === "EPERM" ? EX_NOPERM : EX_OSERR;
  return new CommandFailure(prefix + error.message, status, { cause: error });
}

/** @throws CommandFailure unless we are root */
export function requireRoot(): void {
  if (process.geteuid?.() !== 0)
    throw new CommandFailure("needs root, to make and enter network namespaces", EX_NOPERM);
}
