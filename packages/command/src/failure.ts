import { constants } from "node:os";
import { EX_OSERR, EX_SOFTWARE } from "./sysexits.ts";

/** An expected failure of a command: a message for the user, and the exit status. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  /** A status of sysexits.h, or 126 or 127 as in shells. */
  readonly exitStatus: number;

  constructor(message: string, exitStatus: number, options?: ErrorOptions) {
    super(message, options);
    this.exitStatus = exitStatus;
  }
}

/** Errors that mean that the arguments of the call were wrong: a defect of the program. */
const DEFECTS: ReadonlySet<string> = new Set(["EBADF", "EFAULT", "EINVAL", "ENOTSOCK"]);

/** The codes of Node's errors for a worker that gets no descriptor, thread or memory. */
const WORKER_REFUSED: ReadonlySet<string> = new Set([
  "ERR_WORKER_INIT_FAILED",
  "ERR_WORKER_OUT_OF_MEMORY",
]);

/** Returns what to print if the system has refused a call; undefined for any other error. */
function explainRefusal(error: unknown): string | undefined {
  if (!(error instanceof Error && "code" in error && typeof error.code === "string"))
    return undefined;
  if (WORKER_REFUSED.has(error.code)) return `cannot run a thread: ${error.message}`;
  const isRefused = Object.hasOwn(constants.errno, error.code) && !DEFECTS.has(error.code);
  return isRefused ? error.message : undefined;
}

/**
 * Returns what a command prints when `error` has reached its top level, and its exit status. For
 * an expected failure, or a call that the system has refused, the command prints only the message
 * of the error. Any other error is a defect, which is printed with its stack.
 */
export function explainFailure(error: unknown): { message: string; exitStatus: number } {
  if (error instanceof CommandFailure)
    return { message: error.message, exitStatus: error.exitStatus };
  const refusal = explainRefusal(error);
  if (refusal !== undefined) return { message: refusal, exitStatus: EX_OSERR };
  return explainDefect(error);
}

/**
 * Does the same for an error that only a defect can have caused, even if it is a system error.
 */
export function explainDefect(error: unknown): { message: string; exitStatus: number } {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { message, exitStatus: EX_SOFTWARE };
}
