/** The accounting database: a server of our own, its tables, and what the script wrote. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Postgres } from "@cm4all/testing/postgres";
import { Client } from "pg";
import { DATA, shown, TABLES } from "./checkout.ts";

const NAME = "accounting";
const ROLE = "accounting";

/** Who may log in as ROLE: we, and the script, which runs as its own user where there is one. */
const USERS = ["root", "cm4all-spawn-reaper"];

/** One row of examples/accounting/postgres.sql. */
export interface UsageRow {
  readonly path: string;
  readonly age_seconds: number | null;
  readonly cpu_seconds: number | null;
  readonly memory_peak_bytes: number | null;
  readonly pids_peak: number | null;
  readonly io_write_bytes: number | null;
}

export class Database implements AsyncDisposable {
  readonly #server: Postgres;
  readonly #client: Client;

  private constructor(server: Postgres, client: Client) {
    this.#server = server;
    this.#client = client;
  }

  /**
   * Starts the server, with the data of earlier starts.
   * @param socketDirectory where anybody may get: the server asks the kernel who they are
   */
  static async start(socketDirectory: string): Promise<Database> {
    const server = await Postgres.start({
      directory: join(DATA, "postgresql"),
      socketDirectory,
      user: ROLE,
      hba: ["local all all peer map=start"],
      ident: USERS.map((user) => `start ${user} ${ROLE}`),
    });
    try {
      return new Database(server, await prepare(server));
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** For people. */
  get title(): string {
    const { major, origin } = this.#server.programs;
    return `PostgreSQL ${major} (${origin}), its data below ${shown(this.#server.directory)}`;
  }

  /** How the script finds it. */
  get environment(): Record<string, string> {
    const { host, port, user } = this.#server;
    return { PGHOST: host, PGPORT: String(port), PGUSER: user };
  }

  /** The arguments with which psql finds it. */
  get psqlArguments(): string {
    return `-h ${this.#server.host} -U ${ROLE} ${NAME}`;
  }

  async countRows(): Promise<number> {
    const { rows } = await this.#client.query("SELECT count(*)::int AS count FROM cgroup_usage");
    return rows[0].count;
  }

  /** The rows of cgroups in a scope that were measured since then. */
  async rowsSince(scope: string, since: Date): Promise<UsageRow[]> {
    const { rows } = await this.#client.query(
      `SELECT path, age_seconds, cpu_seconds, memory_peak_bytes::float8, pids_peak::float8,
         io_write_bytes::float8
       FROM cgroup_usage WHERE starts_with(path, $1) AND measured >= $2 ORDER BY path`,
      [`/${scope}/`, since],
    );
    return rows;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The server may have ended on its own.
    await this.#client.end().catch(() => {});
    await this.#server.stop();
  }
}

async function connect(server: Postgres, database: string): Promise<Client> {
  const { host, port, user } = server;
  const client = new Client({ host, port, user, database });
  // A query tells; without one there is nobody to tell.
  client.on("error", () => {});
  await client.connect();
  return client;
}

/** Makes what is not there of an earlier start. */
async function prepare(server: Postgres): Promise<Client> {
  const admin = await connect(server, "postgres");
  const { rowCount } = await admin.query("SELECT 1 FROM pg_database WHERE datname = $1", [NAME]);
  if (rowCount === 0) await admin.query(`CREATE DATABASE ${NAME}`);
  await admin.end();
  const client = await connect(server, NAME);
  await client.query(readFileSync(TABLES, "utf8"));
  return client;
}
