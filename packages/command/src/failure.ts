import { constants } from "node:os";
import { EX_OSERR, EX_SOFTWARE } from "./sysexits.ts";

/** An expected failure of a command: a line for the user, and the exit status. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  /** One of sysexits.h. */
  readonly exitStatus: number;

  constructor(message: string, exitStatus: number, options?: ErrorOptions) {
    super(message, options);
    this.exitStatus = exitStatus;
  }
}

/** The errors of calls that were wrong in themselves: the program has a defect. */
const DEFECTS: ReadonlySet<string> = new Set(["EBADF", "EFAULT", "EINVAL", "ENOTSOCK"]);

/** The codes of Node's errors if it gets no descriptor, thread or memory for a worker. */
const WORKER_REFUSED: ReadonlySet<string> = new Set([
  "ERR_WORKER_INIT_FAILED",
  "ERR_WORKER_OUT_OF_MEMORY",
]);

/** Returns the line for an error of the system; undefined if the program has a defect. */
function explainRefusal(error: unknown): string | undefined {
  if (!(error instanceof Error && "code" in error && typeof error.code === "string"))
    return undefined;
  if (WORKER_REFUSED.has(error.code)) return `cannot run a thread: ${error.message}`;
  const isRefused = Object.hasOwn(constants.errno, error.code) && !DEFECTS.has(error.code);
  return isRefused ? error.message : undefined;
}

/**
 * Returns the message that a command prints when `error` has reached its top level, and its
 * exit status. For an expected failure, or a call that the system has refused, it is only the
 * message of the error; anything else is a defect and is shown with its stack.
 */
export function explainFailure(error: unknown): { message: string; exitStatus: number } {
  if (error instanceof CommandFailure)
    return { message: error.message, exitStatus: error.exitStatus };
  const refusal = explainRefusal(error);
  if (refusal !== undefined) return { message: refusal, exitStatus: EX_OSERR };
  return explainDefect(error);
}

/**
 * Does the same for an error that only a defect can have thrown, even if it is a system error.
 */
export function explainDefect(error: unknown): { message: string; exitStatus: number } {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { message, exitStatus: EX_SOFTWARE };
}
