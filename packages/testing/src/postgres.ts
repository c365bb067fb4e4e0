/**
 * A PostgreSQL server of one's own, on a Unix socket, without a system cluster: for tests in
 * a temporary directory, or with data that is kept. The server refuses to run as root, so
 * that root's runs as `nobody`. It ends with the process that started it, whatever becomes
 * of that one, but not with its terminal.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "./free-port.ts";
import { isOpenToOthers } from "./open.ts";
import { findPostgres, type PostgresPrograms } from "./postgres-programs.ts";
import { readProc } from "./proc.ts";

/** On Debian `nobody` and `nogroup`. */
const NOBODY = 65534;

export interface PostgresOptions {
  /** Where the data is kept; without it a temporary directory, which `stop` removes. */
  directory?: string;
  /** A directory of its own for the socket, open to others; without it in `directory`. */
  socketDirectory?: string;
  /** The role that owns everything. */
  user?: string;
  /** Whether it listens on a free port of 127.0.0.1 as well. */
  tcp?: boolean;
  /** Further lines of postgresql.conf. */
  settings?: Record<string, string>;
  /** PEM texts of a certificate and its key, with which it speaks TLS. */
  tls?: { cert: string; key: string };
  /** Lines of pg_hba.conf in place of `local all all trust` and `host all all all trust`. */
  hba?: string[];
  /** Lines of pg_ident.conf. */
  ident?: string[];
}

/** A server whose data is gone anyway after a power failure. */
const VOLATILE = { fsync: "off", synchronous_commit: "off", full_page_writes: "off" };

/** A running server; its owner ends it with `stop` or `await using`. */
export class Postgres {
  /** Holds the data. */
  readonly directory: string;
  /** Where the socket is. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly programs: PostgresPrograms;
  readonly #isKept: boolean;
  /** Whether what was committed is there after a crash of the server. */
  #isDurable = false;
  #process: ChildProcess | undefined;

  private constructor(
    directory: string,
    programs: PostgresPrograms,
    port: number,
    options: PostgresOptions,
  ) {
    this.directory = directory;
    this.programs = programs;
    this.host = options.socketDirectory ?? directory;
    this.port = port;
    this.user = options.user ?? "postgres";
    this.#isKept = options.directory !== undefined;
  }

  /** @throws Error with the server's own words where it does not start */
  static async start(options: PostgresOptions = {}): Promise<Postgres> {
    const directory = options.directory ?? mkdtempSync(join(tmpdir(), "pg-"));
    try {
      mkdirSync(directory, { recursive: true });
      const port = options.tcp === true ? await freePort() : 5432;
      const server = new Postgres(directory, findPostgres(directory), port, options);
      if (!existsSync(server.#data)) server.#initialize();
      if (options.socketDirectory !== undefined) server.#openSocketDirectory();
      server.#configure(options);
      await server.resume();
      return server;
    } catch (error) {
      if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** The postmaster's. */
  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error("the server does not run");
    return pid;
  }

  /** For libpq and node-postgres: the directory of the socket. */
  get conninfo(): string {
    return `host=${this.host} port=${this.port} user=${this.user} dbname=postgres`;
  }

  get #data(): string {
    return join(this.directory, `data-${this.programs.major}`);
  }

  #giveAway(path: string): void {
    if (process.getuid?.() === 0) chownSync(path, NOBODY, NOBODY);
  }

  /** A command that runs one of the programs as who may run it. @see setpriv(1) */
  #command(name: string, args: string[]): [string, string[]] {
    const words = ["--pdeathsig", "INT"];
    if (process.getuid?.() === 0) {
      words.push(`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups");
      // Below a directory that is closed to others, such as /root. Without the securebit,
      // access(2) would not count the capability.
      if (!isOpenToOthers(dirname(this.directory))) {
        if (!hasDacReadSearch())
          throw new Error(
            `postgres, which does not run as root, cannot enter ${dirname(this.directory)}: a directory that is open to others is needed here, or CAP_DAC_READ_SEARCH`,
          );
        words.push(
          ...["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"],
          "--securebits=+no_setuid_fixup",
        );
      }
    }
    return ["setpriv", [...words, join(this.programs.directory, name), ...args]];
  }

  #initialize(): void {
    this.#giveAway(this.directory);
    const unfinished = `${this.#data}.new`;
    rmSync(unfinished, { recursive: true, force: true });
    const args = ["-D", unfinished, "-U", this.user, "-A", "trust", "-E", "UTF8"];
    args.push("--locale=C", "--no-sync", "--no-instructions");
    const { status, stderr, error } = spawnSync(...this.#command("initdb", args), {
      cwd: this.directory,
      encoding: "utf8",
      env: { LC_ALL: "C", PATH: process.env["PATH"] },
    });
    if (status !== 0) throw new Error(`initdb: ${error?.message ?? stderr}`);
    renameSync(unfinished, this.#data);
  }

  #openSocketDirectory(): void {
    mkdirSync(this.host, { recursive: true });
    chmodSync(this.host, 0o755);
    this.#giveAway(this.host);
  }

  #configure(options: PostgresOptions): void {
    const settings = {
      listen_addresses: options.tcp === true ? "127.0.0.1" : "",
      port: String(this.port),
      unix_socket_directories: this.host,
      lc_messages: "C",
      ssl: options.tls === undefined ? "off" : "on",
      ...(this.#isKept ? {} : VOLATILE),
      ...options.settings,
    };
    this.#isDurable = Reflect.get(settings, "synchronous_commit") !== "off";
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'`);
    this.#write("postgresql.auto.conf", lines);
    if (options.hba !== undefined) this.#write("pg_hba.conf", options.hba);
    if (options.ident !== undefined) this.#write("pg_ident.conf", options.ident);
    if (options.tls !== undefined) {
      this.#write("server.crt", [options.tls.cert]);
      this.#write("server.key", [options.tls.key]);
    }
  }

  #write(name: string, lines: string[]): void {
    const path = join(this.#data, name);
    writeFileSync(path, lines.map((line) => `${line}\n`).join(""), { mode: 0o600 });
    this.#giveAway(path);
  }

  /** Starts it, also again after `pause`; resolves when it takes connections. */
  async resume(): Promise<void> {
    let log = "";
    const server = spawn(...this.#command("postgres", ["-D", this.#data]), {
      cwd: this.directory,
      detached: true,
      stdio: ["ignore", "ignore", "pipe"],
      env: { LC_ALL: "C", PATH: process.env["PATH"] },
    });
    this.#process = server;
    server.on("error", (error) => {
      log = error.message;
    });
    server.stderr.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-10_000);
    });
    const deadline = Date.now() + 30_000;
    while (!/ready to accept (?:read-only )?connections/.test(log)) {
      if (server.exitCode !== null || server.pid === undefined)
        throw new Error(`postgres ended: ${log}`);
      if (Date.now() > deadline) throw new Error(`postgres did not start: ${log}`);
      await delay(10);
    }
  }

  /**
   * Ends the server, but keeps its data.
   * @param mode `fast` ends sessions, `immediate` is a crash
   * @throws Error if the server may lose by a crash what it has said is committed: a test that
   *   counts rows would find some missing one day
   */
  async pause(mode: "fast" | "immediate" = "fast"): Promise<void> {
    if (mode === "immediate" && !this.#isDurable)
      throw new Error("a crash loses rows with synchronous_commit off");
    await this.#end(mode);
  }

  async #end(mode: "fast" | "immediate"): Promise<void> {
    const server = this.#process;
    this.#process = undefined;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, "exit");
    server.kill(mode === "fast" ? "SIGINT" : "SIGQUIT");
    await ended;
  }

  /** Ends the server, and removes its directory unless that is kept. */
  async stop(): Promise<void> {
    await this.#end(this.#isKept ? "fast" : "immediate");
    if (!this.#isKept) rmSync(this.directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Containers are without it. @see capabilities(7), proc_pid_status(5) */
function hasDacReadSearch(): boolean {
  const [, set = "0"] = /^CapEff:\t(\w+)$/m.exec(readProc(process.pid, "status")) ?? [];
  return ((BigInt(`0x${set}`) >> 2n) & 1n) === 1n;
}
