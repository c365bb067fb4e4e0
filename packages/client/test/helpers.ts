import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

export const packageDirectory = fileURLToPath(new URL("..", import.meta.url));
const dist = join(packageDirectory, "dist/");
export const bundle = `${dist}cm4all-spawn-client.js`;
export const addon = `${dist}ffi-rs.linux-${process.arch}-gnu.node`;
/** The version of the suite, from its top-level package.json. */
export const { version } = JSON.parse(
  readFileSync(join(packageDirectory, "../../package.json"), "utf8"),
);

export interface Result {
  /** Undefined if a signal has ended the program. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running program, and its output. */
export class Running {
  readonly pid: number;
  readonly result: Promise<Result>;
  stdout = "";
  stderr = "";
  readonly #child;

  constructor(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.#child = spawn(file, args, { env: { ...process.env, ...env } });
    this.pid = this.#child.pid ?? 0;
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.result = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (status) =>
        resolve({ status: status ?? undefined, stdout: this.stdout, stderr: this.stderr }),
      );
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  endInput(): void {
    this.#child.stdin.end();
  }

  /** Waits until standard output contains `text`. */
  prints(text: string): Promise<void> {
    return this.#until(this.#child.stdout, () => this.stdout.includes(text));
  }

  /** Waits until standard error contains `text`. */
  logs(text: string): Promise<void> {
    return this.#until(this.#child.stderr, () => this.stderr.includes(text));
  }

  async #until(stream: Readable, isThere: () => boolean): Promise<void> {
    while (!isThere()) {
      const ended = await Promise.race([
        this.result.then(() => true),
        new Promise<false>((resolve) => stream.once("data", () => resolve(false))),
      ]);
      if (ended && !isThere()) throw new Error(`it ended early: ${this.stdout}${this.stderr}`);
    }
  }
}

/** Runs the client's bundle, and waits until it has ended. */
export async function runClient(...args: string[]): Promise<Result> {
  const running = new Running(process.execPath, [bundle, ...args]);
  running.endInput();
  return await running.result;
}
