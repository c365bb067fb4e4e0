/**
 * A PostgreSQL server for a test, on a Unix socket and apart from the system's clusters; its data
 * is in a temporary directory, or in one that is kept. PostgreSQL refuses to run as root, so a
 * server that root starts runs as `nobody`. The server ends when the process that started it ends,
 * no matter how; the terminal's signals, such as that of Ctrl-C, do not reach the server.
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

/** The uid and gid of `nobody` and `nogroup` on Debian. */
const NOBODY = 65534;

export interface PostgresOptions {
  /**
   * The directory for the data, which is kept; by default a temporary directory, which `stop`
   * removes.
   */
  directory?: string;
  /**
   * A separate directory for the socket, open to other users; by default the socket is in
   * `directory`.
   */
  socketDirectory?: string;
  /** The role that owns everything. */
  user?: string;
  /** True to listen also on a free port of 127.0.0.1. */
  tcp?: boolean;
  /** Further lines of postgresql.conf. */
  settings?: Record<string, string>;
  /** A certificate and its key for TLS, in PEM format. */
  tls?: { cert: string; key: string };
  /** The lines of pg_hba.conf; by default `local all all trust` and `host all all all trust`. */
  hba?: string[];
  /** The lines of pg_ident.conf. */
  ident?: string[];
}

/** Settings for a server whose data need not survive a crash or a power failure. */
const VOLATILE = { fsync: "off", synchronous_commit: "off", full_page_writes: "off" };

/** A running server; its owner ends it with `stop` or `await using`. */
export class Postgres {
  /** The directory of the data. */
  readonly directory: string;
  /** The directory of the socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly programs: PostgresPrograms;
  readonly #isKept: boolean;
  /** True if committed data survives a crash of the server. */
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

  /** Starts a server. @throws Error with the server's messages if it does not start */
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

  /** Returns the pid of the postmaster. */
  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error("the server is not running");
    return pid;
  }

  /** Returns a connection string for libpq and node-postgres, with the directory of the socket. */
  get conninfo(): string {
    return `host=${this.host} port=${this.port} user=${this.user} dbname=postgres`;
  }

  get #data(): string {
    return join(this.directory, `data-${this.programs.major}`);
  }

  #giveAway(path: string): void {
    if (process.getuid?.() === 0) chownSync(path, NOBODY, NOBODY);
  }

  /** Returns a command that runs one of the programs as a user who may run it. @see setpriv(1) */
  #command(name: string, args: string[]): [string, string[]] {
    const words = ["--pdeathsig", "INT"];
    if (process.getuid?.() === 0) {
      words.push(`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups");
      // If the directory is below one that is closed to others, such as /root, the server needs a
      // capability. Without the securebit, access(2) would ignore it.
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

  /** Starts the server, the first time or after `pause`. Resolves when it accepts connections. */
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
   * @throws Error for `immediate`, if a crash may lose committed data: sooner or later, a test that
   *   counts rows would find some missing
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

  /** Ends the server, and removes its directory unless the directory is to be kept. */
  async stop(): Promise<void> {
    await this.#end(this.#isKept ? "fast" : "immediate");
    if (!this.#isKept) rmSync(this.directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/**
 * Returns whether this process has CAP_DAC_READ_SEARCH, which root often lacks in a container.
 * @see capabilities(7), proc_pid_status(5)
 */
function hasDacReadSearch(): boolean {
  const [, set = "0"] = /^CapEff:\t(\w+)$/m.exec(readProc(process.pid, "status")) ?? [];
  return ((BigInt(`0x${set}`) >> 2n) & 1n) === 1n;
}
