/** Handles output that cannot be written, for lack of space or of a reader. */
import { fstatSync, writeSync } from "node:fs";
import { isErrno } from "./files.ts";
import { EX_IOERR } from "./sysexits.ts";

/**
 * Reports the first failure to write to standard output, for example to a file on a full disk: with
 * a line on standard error, and with the status EX_IOERR unless the command fails with another
 * status. The command finishes its work all the same. It is not a failure if the output has lost
 * its reader, for example head(1) or a terminal that has hung up. This is the only place that
 * reports errors of standard output: other handlers, such as that of a pipeline, ignore them.
 */
export function watchOutput(name: string): void {
  const { stdout } = process;
  if (fstatSync(STDOUT).isFile()) writeWholeChunks(stdout);
  let isTold = false;
  stdout.on("error", (error) => {
    // Each write fails anew, because Node does not destroy this stream.
    if (isTold || isErrno(error, "EPIPE") || (stdout.isTTY && isErrno(error, "EIO"))) return;
    isTold = true;
    tellLostOutput(name, error.message);
  });
}

const STDOUT = 1;

/**
 * Makes each write to standard output, which has to be a file, write the whole chunk or fail. Node
 * calls write(2) once, and ignores how much was written: on a disk with room for only a part of the
 * last chunk, the rest would be lost without an error.
 */
function writeWholeChunks(stdout: NodeJS.WriteStream): void {
  stdout._write = (chunk: Buffer, _encoding, done) => {
    let failure: Error | undefined;
    try {
      for (let from = 0; from < chunk.length; ) from += writeSync(STDOUT, chunk, from);
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
    }
    done(failure);
  };
}

/**
 * Reports that output could not be written: with a line on standard error, and with the status
 * EX_IOERR if the command would otherwise exit with 0.
 */
export function tellLostOutput(name: string, reason: string): void {
  console.error(`${name}: cannot write the output: ${reason}`);
  if (process.exitCode === undefined || process.exitCode === 0) process.exitCode = EX_IOERR;
}

/**
 * Ignores write errors on standard error: the message is lost, but the command goes on, because
 * there is nowhere left to report the error.
 */
export function loseMessages(): void {
  if (process.stderr.listenerCount("error") === 0) process.stderr.on("error", () => {});
}
