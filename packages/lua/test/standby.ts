/** For tests in which one PostgreSQL server takes over from another. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Postgres } from "@cm4all/testing";
import { Client } from "pg";

/** The lines of pg_hba.conf that allow a standby to follow. */
export const REPLICATION_HBA = ["local all all trust", "local replication all trust"];

/** The directory for a test's servers; the test removes it when the servers have ended. */
export class ServerDirectory implements Disposable {
  readonly #path = mkdtempSync(join(tmpdir(), "standby-"));

  constructor() {
    // PgBouncer, which does not run as root, connects to the servers in it.
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
 * Starts a standby with the data that a server has now.
 * @param primary a server that is paused, so that its files are complete
 * @param directory the standby's directory, which must not exist yet
 * @param options `name` is the standby's name for `synchronous_standby_names`, `settings` are the
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
