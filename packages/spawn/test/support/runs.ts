/**
 * Creates and uses many cgroups, with runs.c, which is compiled into a temporary directory.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("runs.c", import.meta.url));

export interface RunOptions {
  /** See runs.c. */
  readonly mode: "leave" | "churn" | "remove" | "nest" | "unnest";
  /** The directory in which cgroups are made. */
  readonly base: string;
  /** The prefix of the names. */
  readonly prefix?: string;
  readonly count?: number;
  /** The maximum number of uses per second; undefined for no limit. */
  readonly rate?: number;
}

/** A process that creates cgroups. */
export class Runs {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #output = "";

  constructor(program: string, { mode, base, prefix = "run", count = 0, rate = 0 }: RunOptions) {
    const args = [mode, base, prefix, String(count), String(rate)];
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    child.stdout.setEncoding("latin1").on("data", (text: string) => {
      this.#output += text;
    });
    this.#child = child;
    this.#ended = once(child, "close");
  }

  /** Returns the inode numbers of the cgroups that were used, by name. */
  get inodes(): Map<string, string> {
    const lines = this.#output.split("\n").slice(0, -1);
    return new Map(lines.map((line) => line.split(" ") as [string, string]));
  }

  /** Returns the approximate number of times that the mode `churn` has used a cgroup so far. */
  get uses(): number {
    return 1000 * (this.#output.split("\n").length - 1);
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Waits for the end of the process. @throws Error (rejects) if it failed */
  async end(): Promise<void> {
    await this.#ended;
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== 0) throw new Error(`runs: ended with ${exitCode ?? signalCode}`);
  }

  /** Ends the process. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

export class RunsProgram implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "cm4all-spawn-runs-"));
  readonly #program = join(this.#directory, "runs");
  readonly #started: Runs[] = [];

  constructor() {
    const warnings = ["-Wall", "-Wextra", "-Werror"];
    execFileSync("gcc", [...warnings, "-O", "-o", this.#program, SOURCE], { stdio: "inherit" });
  }

  start(options: RunOptions): Runs {
    const runs = new Runs(this.#program, options);
    this.#started.push(runs);
    return runs;
  }

  /** Runs a process to its end. */
  async run(options: RunOptions): Promise<Runs> {
    const runs = this.start(options);
    await runs.end();
    return runs;
  }

  /** Ends the processes that are still running. */
  async endAll(): Promise<void> {
    await Promise.all(this.#started.splice(0).map((runs) => runs.kill()));
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }
}
