/** What a command prints may find no room, or no reader. */
import { isErrno } from "./files.ts";
import { EX_IOERR } from "./sysexits.ts";

/**
 * Has a standard output that cannot be written, such as a file on a full disk, be told of in one
 * line and by EX_IOERR, unless the command ends with another status anyway. What the command does
 * is done all the same. That nobody reads any more,
 * as behind head(1) or on a terminal that has hung up, is no failure. It is told here alone: who
 * else hears of the error, as the end of a pipeline, leaves it at that.
 */
export function watchOutput(name: string): void {
  const { stdout } = process;
  let isTold = false;
  stdout.on("error", (error) => {
    // Each write fails anew: Node does not let the stream be destroyed.
    if (isTold || isErrno(error, "EPIPE") || (stdout.isTTY && isErrno(error, "EIO"))) return;
    isTold = true;
    tellLostOutput(name, error.message);
  });
}

/** Says that output could not be written: by a line, and by the status of a command that succeeds. */
export function tellLostOutput(name: string, reason: string): void {
  console.error(`${name}: cannot write the output: ${reason}`);
  if (process.exitCode === undefined || process.exitCode === 0) process.exitCode = EX_IOERR;
}

/** Has messages that cannot be written be lost, not end the command: nobody can be told. */
export function loseMessages(): void {
  if (process.stderr.listenerCount("error") === 0) process.stderr.on("error", () => {});
}
