/** Standard output and standard error as files of `io`. */
import type { LuaStream } from "./file.ts";
import { badDescriptor, type OpenFiles } from "./open-files.ts";
import { LineOutput, mayLoseOutput, writeFully } from "./output.ts";

/** Writes whole lines, so that a line that is printed in parts is one line in the log. */
export const stderrOutput = new LineOutput((text) => writeFully(2, text));

/** Writes the pending output and closes all files, before the script ends. */
export function endStreams(output: LineOutput, files: OpenFiles): void {
  for (const each of [output, stderrOutput]) mayLoseOutput(() => each.flush());
  files.closeAll();
}

/** A stream that can be written, but neither read nor closed. */
export class OutputStream implements LuaStream {
  readonly #output: LineOutput;
  readonly isClosed = false;
  readonly isStandard = true;
  /** Output does not count as an effect: it does no harm if a line is in the log twice. */
  readonly takesEffect = false;
  readonly effectCount = 0;

  constructor(output: LineOutput) {
    this.#output = output;
  }

  write(text: string): void {
    this.#output.write(text);
  }

  flush(): void {
    this.#output.flush();
  }

  /** Does nothing: the log gets whole lines in any mode. */
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
