/** A database table, and a script that accounts cgroups in that table, as the examples do. */
import type { Postgres } from "@cm4all/testing";
import pg from "pg";

/** Runs a query, and returns the first column of the result. */
export async function queryColumn(server: Postgres, sql: string): Promise<string[]> {
  const { host, port, user } = server;
  const client = new pg.Client({ host, port, user, database: "postgres" });
  // If the server crashes, the error may come while nothing is awaited.
  client.on("error", () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query({ text: sql, rowMode: "array" });
    return rows.map(([value]) => String(value));
  } finally {
    await client.end();
  }
}

/** Creates the table, or replaces it with an empty one. */
export async function makeUsageTable(server: Postgres): Promise<void> {
  await queryColumn(server, "DROP TABLE IF EXISTS usage");
  await queryColumn(
    server,
    "CREATE TABLE usage (id text PRIMARY KEY, path bytea, report int, cpu float8, attempts int)",
  );
}

export const usageScript = (server: Postgres) => `
  handlers_bear_repetition = true
  local db = pg:new(${JSON.stringify(server.conninfo)})
  function cgroup_released(cgroup)
    assert(db:execute([[
      INSERT INTO usage (id, path, report, cpu, attempts) VALUES ($1, convert_to($2, 'UTF8'), $3, $4, 1)
      ON CONFLICT (id) DO UPDATE SET report = excluded.report, cpu = excluded.cpu,
        attempts = usage.attempts + 1]],
      {cgroup.id, cgroup.path, cgroup.report, cgroup.cpu_total}))
  end`;

/** Returns how many cgroups whose names begin with `c` are in the table. */
export async function countJobs(server: Postgres): Promise<number> {
  const sql = "SELECT count(DISTINCT path) FROM usage WHERE path LIKE '%/c%'";
  return Number((await queryColumn(server, sql))[0]);
}
