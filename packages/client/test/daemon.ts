import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageDirectory, Running } from "./helpers.ts";

const daemonBundle = join(packageDirectory, "../spawn/dist/cm4all-spawn.js");

let count = 0;

export interface DaemonOptions {
  /** The socket; by default a name that no other daemon has. */
  readonly socket?: string;
  /** The time for which a name without leases is kept; by default a minute. */
  readonly expireMs?: number;
}

/** The real daemon, with a socket and a configuration of its own. */
export class Daemon {
  readonly socket: string;
  readonly #directory: string;
  readonly #running: Running;

  private constructor({ socket, expireMs = 60_000 }: DaemonOptions) {
    this.socket = socket ?? `@cm4all-spawn-client-test-${process.pid}-${count++}`;
    if (!existsSync(daemonBundle)) throw new Error(`${daemonBundle} is missing: build it first`);
    this.#directory = mkdtempSync(join(tmpdir(), "client-test-"));
    const config = join(this.#directory, "spawn.toml");
    writeFileSync(config, `[namespaces]\nexpire_seconds = ${expireMs / 1000}\n`);
    const options = ["--listen", this.socket, "--config", config, "--control", "", "--no-reaper"];
    this.#running = new Running(process.execPath, [daemonBundle, ...options]);
  }

  static async start(options: DaemonOptions = {}): Promise<Daemon> {
    const daemon = new Daemon(options);
    await daemon.#running.logs("listening on");
    return daemon;
  }

  /** Ends the daemon, and with it everything that it has created. */
  async stop(): Promise<void> {
    this.#running.kill("SIGTERM");
    const { status, stderr } = await this.#running.result;
    rmSync(this.#directory, { recursive: true });
    if (status !== 0) throw new Error(`the daemon ended with ${status}: ${stderr}`);
  }
}
