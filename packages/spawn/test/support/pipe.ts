/** A named pipe, to which a shell can redirect output, and which is read on demand. */
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class Pipe {
  readonly #directory = mkdtempSync(join(tmpdir(), "cm4all-spawn-log-"));
  readonly path = join(this.#directory, "pipe");
  readonly #fd: number;

  constructor() {
    execFileSync("mkfifo", [this.path]);
    this.#fd = openSync(this.path, constants.O_RDWR | constants.O_NONBLOCK);
  }

  fill(): void {
    for (const size of [4096, 1])
      try {
        for (;;) writeSync(this.#fd, Buffer.alloc(size, "\n"));
      } catch {
        // EAGAIN: the pipe is full.
      }
  }

  drain(): string {
    const buffer = Buffer.alloc(64 * 1024);
    let text = "";
    try {
      for (;;) text += buffer.toString("utf8", 0, readSync(this.#fd, buffer));
    } catch {
      return text.trim();
    }
  }

  close(): void {
    closeSync(this.#fd);
    rmSync(this.#directory, { recursive: true });
  }
}

/** Returns a command that starts a program with its standard error redirected to `path`. */
export const redirectTo = (path: string) => ["sh", "-c", `exec "$@" 2>${path}`, "sh"];
