/** Handles output that finds no room, or no reader. */
import { isErrno } from "./files.ts";
import { EX_IOERR } from "./sysexits.ts";

/**
 * Reports a standard output that cannot be written, such as a file on a full disk, by a line
 * and by EX_IOERR, unless the command ends with another error anyway. The work of the command
 * is done all the same. It is no failure if nobody reads any more, as with head(1) or a
 * terminal that has hung up. This is the only place that reports the error: other handlers,
 * such as the end of a pipeline, ignore it.
 */
export function watchOutput(name: string): void {
  const { stdout } = process;
  let isTold = false;
  stdout.on("error", (error) => {
    // Each write fails anew, because Node does not destroy this stream.
    if (isTold || isErrno(error, "EPIPE") || (stdout.isTTY && isErrno(error, "EIO"))) return;
    isTold = true;
    tellLostOutput(name, error.message);
  });
}

/**
 * Reports output that could not be written, by a line, and by the exit status of a command that
 * succeeds.
 */
export function tellLostOutput(name: string, reason: string): void {
  console.error(`${name}: cannot write the output: ${reason}`);
  if (process.exitCode === undefined || process.exitCode === 0) process.exitCode = EX_IOERR;
}

/**
 * Ignores errors of standard error: the message is lost, but the command goes on, because
 * nobody can be told.
 */
export function loseMessages(): void {
  if (process.stderr.listenerCount("error") === 0) process.stderr.on("error", () => {});
}
