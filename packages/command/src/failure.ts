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

/**
 * What a command prints and with which status it ends when `error` reached its
 * top level: an expected failure is its message alone, anything else is a defect
 * and keeps its stack.
 */
export function explainFailure(error: unknown): { message: string; exitStatus: number } {
  if (error instanceof CommandFailure)
    return { message: error.message, exitStatus: error.exitStatus };
  if (isWithoutProc(error))
    return {
      message: `cannot read ${error.path}: is /proc mounted? (${error.code})`,
      exitStatus: EX_OSERR,
    };
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { message, exitStatus: EX_SOFTWARE };
}

/** Every process has all that we read of our own there. */
function isWithoutProc(error: unknown): error is NodeJS.ErrnoException {
  return (
    error instanceof Error &&
    "code" in error &&
    error.code === "ENOENT" &&
    "path" in error &&
    String(error.path).startsWith("/proc/self/")
  );
}
