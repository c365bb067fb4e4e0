/** What a command prints may find no room, or no reader. */
import { isErrno } from "./files.ts";
import { EX_IOERR } from "./sysexits.ts";

/**
 * Has a standard output that cannot be written, such as a file on a full disk, be told of in one
 * line and by EX_IOERR. What the command does is done all the same. That nobody reads any more,
 * as behind head(1), is no failure.
 */
export function watchOutput(name: string): void {
  process.stdout.on("error", (error) => {
    if (isErrno(error, "EPIPE") || process.stdout.listenerCount("error") > 1) return;
    console.error(`${name}: cannot write the output: ${error.message}`);
    if (process.exitCode === undefined || process.exitCode === 0) process.exitCode = EX_IOERR;
  });
}
