/** PgBouncer in front of a server, on a Unix socket. It ends with the process that started it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Postgres, unpackedLibraries, unpackedProgram } from "@cm4all/testing";

/** It does not run as root. */
const NOBODY = 65534;

export class PgBouncer implements AsyncDisposable {
  readonly #directory: string;
  #process: ChildProcess | undefined;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** @param sessions with the server for all clients together */
  static async start(
    { host, port, user }: Postgres,
    mode: "session" | "transaction" | "statement",
    sessions: number,
  ): Promise<PgBouncer> {
    const directory = mkdtempSync(join(tmpdir(), "pgbouncer-"));
    chmodSync(directory, 0o755);
    if (process.getuid?.() === 0) chownSync(directory, NOBODY, NOBODY);
    const lines = [
      "[databases]",
      `postgres = host=${host} port=${port} user=${user} dbname=postgres`,
      "[pgbouncer]",
      "auth_type = any",
      `unix_socket_dir = ${directory}`,
      "listen_port = 6432",
      `pool_mode = ${mode}`,
      `default_pool_size = ${sessions}`,
      // In turn, so that each statement has another one.
      "server_round_robin = 1",
      "server_login_retry = 1",
    ];
    writeFileSync(join(directory, "pgbouncer.ini"), lines.map((line) => `${line}\n`).join(""));
    const bouncer = new PgBouncer(directory);
    await bouncer.resume();
    return bouncer;
  }

  get conninfo(): string {
    return `host=${this.#directory} port=6432 user=postgres dbname=postgres`;
  }

  /** Starts it, also again after `pause`; resolves when it takes connections. */
  async resume(): Promise<void> {
    const program = unpackedProgram("pgbouncer");
    const asNobody = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
    const words = [program, ...asNobody, join(this.#directory, "pgbouncer.ini")];
    const bouncer = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...words], {
      env: { PATH: process.env["PATH"], LD_LIBRARY_PATH: unpackedLibraries(program) },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process = bouncer;
    let log = "";
    bouncer.stderr.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-10_000);
    });
    const deadline = Date.now() + 30_000;
    while (!log.includes("process up")) {
      if (bouncer.exitCode !== null || Date.now() > deadline)
        throw new Error(`PgBouncer did not start: ${log}`);
      await delay(10);
    }
  }

  /** Ends it with all its sessions. */
  async pause(): Promise<void> {
    const bouncer = this.#process;
    this.#process = undefined;
    if (bouncer === undefined || bouncer.exitCode !== null || bouncer.signalCode !== null) return;
    const ended = once(bouncer, "exit");
    bouncer.kill("SIGKILL");
    await ended;
    // It would take the file for a sign that it runs.
    rmSync(join(this.#directory, ".s.PGSQL.6432"), { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pause();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
