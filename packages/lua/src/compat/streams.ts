/** Standard output and standard error as files of `io`. */
import type { LuaStream } from "./file.ts";
import { badDescriptor, type OpenFiles } from "./open-files.ts";
import { LineOutput, mayLoseOutput, writeFully } from "./output.ts";

/** Whole lines reach the log; a line in parts is one line there, too. */
export const stderrOutput = new LineOutput((text) => writeFully(2, text));

/** Writes what still waits to be written, and closes all files, before the script ends. */
export function endStreams(output: LineOutput, files: OpenFiles): void {
  for (const each of [output, stderrOutput]) mayLoseOutput(() => each.flush());
  files.closeAll();
}

/** Can be written, but neither read nor closed. */
export class OutputStream implements LuaStream {
  readonly #output: LineOutput;
  readonly isClosed = false;
  readonly isStandard = true;
  /** A line in the log is nothing that may not be there twice. */
  readonly takesEffect = false;
  readonly bytesWritten = 0;

  constructor(output: LineOutput) {
    this.#output = output;
  }

  write(text: string): void {
    this.#output.write(text);
  }

  flush(): void {
    this.#output.flush();
  }

  /** Lines are whole whatever a script says: the log's are. */
  setBuffering(): void {}

  close(): void {
    this.#output.flush();
  }

  read(): never {
    throw badDescriptor();
  }

  readAll(): never {
    return this.read();
  }

  readLine(): never {
    return this.read();
  }

  readNumber(): never {
    return this.read();
  }

  seek(): undefined {
    return undefined;
  }
}
