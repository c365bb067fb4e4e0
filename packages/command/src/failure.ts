import { constants } from "node:os";
import { EX_OSERR, EX_SOFTWARE } from "./sysexits.ts";

/** An expected failure of a command: one line for the user, and the exit status. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  /** One of sysexits.h. */
  readonly exitStatus: number;

  constructor(message: string, exitStatus: number, options?: ErrorOptions) {
    super(message, options);
    this.exitStatus = exitStatus;
  }
}

/** With these the call itself was wrong, so that the caller has a defect. */
const DEFECTS: ReadonlySet<string> = new Set(["EBADF", "EFAULT", "EINVAL", "ENOTSOCK"]);

/** Node had no descriptor, no thread or no memory for a worker. */
const WORKER_REFUSED: ReadonlySet<string> = new Set([
  "ERR_WORKER_INIT_FAILED",
  "ERR_WORKER_OUT_OF_MEMORY",
]);

/** Returns the line for what the surroundings have refused; undefined if the program is wrong. */
function explainRefusal(error: unknown): string | undefined {
  if (!(error instanceof Error && "code" in error && typeof error.code === "string"))
    return undefined;
  if (WORKER_REFUSED.has(error.code)) return `cannot run a thread: ${error.message}`;
  const isRefused = Object.hasOwn(constants.errno, error.code) && !DEFECTS.has(error.code);
  return isRefused ? error.message : undefined;
}

/**
 * Returns what a command prints, and the status with which it ends, when `error` has reached
 * its top level. An expected failure, or a call that the system has refused, is its message
 * alone; anything else is a defect and keeps its stack.
 */
export function explainFailure(error: unknown): { message: string; exitStatus: number } {
  if (error instanceof CommandFailure)
    return { message: error.message, exitStatus: error.exitStatus };
  const refusal = explainRefusal(error);
  if (refusal !== undefined) return { message: refusal, exitStatus: EX_OSERR };
  return explainDefect(error);
}

/** As explainFailure, of what only a defect can have thrown, a refusal of the system as well. */
export function explainDefect(error: unknown): { message: string; exitStatus: number } {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { message, exitStatus: EX_SOFTWARE };
}
