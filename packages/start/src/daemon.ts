/** The daemon as a child process, which ends with this program. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { DAEMON } from "./checkout.ts";
import { passOn } from "./output.ts";

/** The daemon is killed if it takes longer to end; its own time limits are shorter. */
const STOP_TIMEOUT_MS = 10_000;

export class Daemon implements AsyncDisposable {
  readonly #child: ChildProcess;
  /** Resolves with the exit status when the daemon has ended. */
  readonly ended: Promise<number>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.ended = once(child, "exit").then(([status]) => status ?? 1);
  }

  /** Starts the daemon on our terminal. */
  static alone(args: readonly string[]): Daemon {
    return new Daemon(spawn(...command(args), { stdio: "inherit" }));
  }

  /** Starts the daemon, and prints its lines among ours. */
  static start(args: readonly string[], environment: Record<string, string>): Daemon {
    const child = spawn(...command(args), {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
    passOn(child.stdout, process.stdout);
    passOn(child.stderr, process.stderr);
    return new Daemon(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

/** Keeps Node from opening its debugger on SIGUSR1; packages/dev/bundle.mjs explains how. */
const NO_DEBUGGER = "--inspect-port=192.0.2.1:9229";

/** Returns setpriv(1) and its arguments: the daemon gets SIGTERM when this program ends. */
function command(args: readonly string[]): [string, string[]] {
  return ["setpriv", ["--pdeathsig", "TERM", process.execPath, NO_DEBUGGER, DAEMON, ...args]];
}
