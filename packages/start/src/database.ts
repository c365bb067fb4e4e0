/** The accounting database: a server of our own, its tables, and the rows from the script. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Postgres } from "@cm4all/testing/postgres";
import { Client } from "pg";
import { DATA, shown, TABLES } from "./checkout.ts";

const NAME = "accounting";
const ROLE = "accounting";

/**
 * The system's users who may log in as ROLE: root, who runs this program, and the script's user,
 * if it exists.
 */
const USERS = ["root", "cm4all-spawn-reaper"];

/** A row of the table in examples/accounting/postgres.sql. */
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
   * Starts the server with the data of earlier runs of `npm start`, if there are any.
   * @param socketDirectory the directory for the socket. It is open to all users; the server asks
   *   the kernel which user connects.
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

  /** A description for people. */
  get title(): string {
    const { major, origin } = this.#server.programs;
    return `PostgreSQL ${major} (${origin}), its data below ${shown(this.#server.directory)}`;
  }

  /** The environment variables by which the script finds the database. */
  get environment(): Record<string, string> {
    const { host, port, user } = this.#server;
    return { PGHOST: host, PGPORT: String(port), PGUSER: user };
  }

  /** The arguments with which psql finds the database. */
  get psqlArguments(): string {
    return `-h ${this.#server.host} -U ${ROLE} ${NAME}`;
  }

  async countRows(): Promise<number> {
    const { rows } = await this.#client.query("SELECT count(*)::int AS count FROM cgroup_usage");
    return rows[0].count;
  }

  /** Returns the rows of those cgroups in a scope that were measured at `since` or later. */
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
    // The server may have ended by itself.
    await this.#client.end().catch(() => {});
    await this.#server.stop();
  }
}

async function connect(server: Postgres, database: string): Promise<Client> {
  const { host, port, user } = server;
  const client = new Client({ host, port, user, database });
  // A query that is running reports the error; otherwise nobody needs it.
  client.on("error", () => {});
  await client.connect();
  return client;
}

/**
 * Creates the database and its tables, unless an earlier run has done so. Returns a connected
 * client, which the caller ends.
 */
async function prepare(server: Postgres): Promise<Client> {
  const admin = await connect(server, "postgres");
  const { rowCount } = await admin.query("SELECT 1 FROM pg_database WHERE datname = $1", [NAME]);
  if (rowCount === 0) await admin.query(`CREATE DATABASE ${NAME}`);
  await admin.end();
  const client = await connect(server, NAME);
  await client.query(readFileSync(TABLES, "utf8"));
  return client;
}
