/**
 * PgBouncer in front of a server, on a Unix socket. It ends with the process that started it,
 * unless that process runs as root: then the kernel clears the parent-death signal when PgBouncer
 * changes its user.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Postgres, unpackedLibraries, unpackedProgram } from "@cm4all/testing";

/** PgBouncer refuses to run as root, so it runs as this user. */
const NOBODY = 65534;

export class PgBouncer implements AsyncDisposable {
  readonly #directory: string;
  readonly #settings: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(directory: string, settings: readonly string[]) {
    this.#directory = directory;
    this.#settings = settings;
  }

  /**
   * Starts PgBouncer. Resolves when it accepts connections.
   * @param sessions the number of sessions with the server, for all clients together
   * @param clients the maximum number of clients at once
   */
  static async start(
    server: Postgres,
    mode: "session" | "transaction" | "statement",
    sessions: number,
    clients = 100,
  ): Promise<PgBouncer> {
    const directory = mkdtempSync(join(tmpdir(), "pgbouncer-"));
    chmodSync(directory, 0o755);
    if (process.getuid?.() === 0) chownSync(directory, NOBODY, NOBODY);
    const bouncer = new PgBouncer(directory, [
      "[pgbouncer]",
      "auth_type = any",
      `unix_socket_dir = ${directory}`,
      "listen_port = 6432",
      `pool_mode = ${mode}`,
      `default_pool_size = ${sessions}`,
      `max_client_conn = ${clients}`,
      // Sessions are used in turn, so that each statement runs in a different session.
      "server_round_robin = 1",
      "server_login_retry = 1",
    ]);
    bouncer.#configure(server);
    await bouncer.resume();
    return bouncer;
  }

  #configure({ host, port, user }: Postgres): void {
    const database = `postgres = host=${host} port=${port} user=${user} dbname=postgres`;
    const lines = ["[databases]", database, ...this.#settings];
    writeFileSync(
      join(this.#directory, "pgbouncer.ini"),
      lines.map((line) => `${line}\n`).join(""),
    );
  }

  /** Switches to another server, with which new sessions are opened. */
  moveTo(server: Postgres): void {
    this.#configure(server);
    this.#process?.kill("SIGHUP");
  }

  get conninfo(): string {
    return `host=${this.#directory} port=6432 user=postgres dbname=postgres`;
  }

  /** Starts PgBouncer, also after `pause`. Resolves when it accepts connections. */
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

  /** Kills PgBouncer, which ends all its sessions. */
  async pause(): Promise<void> {
    const bouncer = this.#process;
    this.#process = undefined;
    if (bouncer === undefined || bouncer.exitCode !== null || bouncer.signalCode !== null) return;
    const ended = once(bouncer, "exit");
    bouncer.kill("SIGKILL");
    await ended;
    // The next PgBouncer would take this file for the socket of a running one, and not start.
    rmSync(join(this.#directory, ".s.PGSQL.6432"), { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pause();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
