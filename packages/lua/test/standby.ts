/** For tests in which one PostgreSQL server takes over from another. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Postgres } from "@cm4all/testing";
import { Client } from "pg";

/** The lines of pg_hba.conf that let clients connect and standbys replicate. */
export const REPLICATION_HBA = ["local all all trust", "local replication all trust"];

/** The directory for a test's servers; to be disposed of after the servers have ended. */
export class ServerDirectory implements Disposable {
  readonly #path = mkdtempSync(join(tmpdir(), "standby-"));

  constructor() {
    // PgBouncer, which does not run as root, has to reach the servers' sockets in this directory.
    chmodSync(this.#path, 0o755);
  }

  /** Returns the directory for the server with this name. */
  for(name: string): string {
    return join(this.#path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.#path, { recursive: true, force: true });
  }
}

/**
 * Starts a standby with a copy of a server's data. Replication begins when the caller starts that
 * server again.
 * @param primary the server; the caller has paused it, so that the copy of its files is consistent
 * @param directory the standby's directory, which must not exist yet
 * @param options `name` is the standby's name in `synchronous_standby_names`; `settings` are the
 * standby's settings
 */
export function startStandby(
  primary: Postgres,
  directory: string,
  { name = "standby", settings = {} }: { name?: string; settings?: Record<string, string> } = {},
): Promise<Postgres> {
  execFileSync("cp", ["-a", primary.directory, directory]);
  writeFileSync(join(directory, `data-${primary.programs.major}`, "standby.signal"), "");
  const from = `host=${primary.host} user=${primary.user} application_name=${name}`;
  return Postgres.start({
    directory,
    hba: REPLICATION_HBA,
    settings: { ...settings, primary_conninfo: from },
  });
}

/** Runs SQL in a session of its own. Returns the rows if it is one statement. */
export async function execute(
  { host, port, user }: Postgres,
  sql: string,
): Promise<Record<string, unknown>[]> {
  const client = new Client({ host, port, user, database: "postgres" });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
