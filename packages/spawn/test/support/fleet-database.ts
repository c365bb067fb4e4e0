/** Runs a PostgreSQL server that has the tables of fleet.sql and the bills of three customers. */
import { fileURLToPath } from "node:url";
import { Postgres, type PostgresOptions, readSql } from "@cm4all/testing";
import pg from "pg";

const SQL = fileURLToPath(new URL("../../../../examples/accounting/fleet.sql", import.meta.url));

/** What hosts report about cgroups. `ago`: how many days ago the cgroup was measured. */
const REPORTS = [
  { host: "web1", id: "b:1", customer: "alice", ago: 2, cpu: 7200, io: 5e9, memory: 3e9, oom: 0 },
  { host: "web1", id: "b:2", customer: "alice", ago: 1, cpu: 3600, io: 1e9, memory: 2e9, oom: 3 },
  {
    host: "web2",
    id: "c:1",
    customer: "bob & <b>sons</b>",
    ago: 1,
    cpu: 60,
    io: 4096,
    memory: 1e6,
  },
  { host: "web2", id: "c:2", customer: "carol", ago: 40, cpu: 5, io: 0, memory: undefined },
  { host: "web2", id: "c:3", customer: undefined, ago: 1, cpu: 11, io: 1, memory: 1 },
] as const;

/** Starts the server. The caller stops it. */
export async function startFleetDatabase(options?: PostgresOptions): Promise<Postgres> {
  const server = await Postgres.start(options);
  const client = await connectTo(server);
  try {
    await client.query(readSql(SQL));
    await client.query("CREATE ROLE reports LOGIN; GRANT fleet_reader TO reports");
    for (const report of REPORTS) {
      const { host, id, customer, ago, cpu, io, memory } = report;
      const measured = Date.now() / 1000 - ago * 86_400;
      const oom = "oom" in report ? report.oom : 0;
      await client.query(
        "SELECT account_cgroups($1, ARRAY[$2], ARRAY[$3::float8], ARRAY[$3::float8], ARRAY['/x'], ARRAY[$4], ARRAY[$5::float8], ARRAY[$6::bigint], ARRAY[$7::bigint], ARRAY[7::bigint], ARRAY[$8::bigint], ARRAY[$9::bigint])",
        [host, id, measured, customer, cpu, io, memory, oom, oom * 2],
      );
    }
    await client.query("CALL bill_fleet()");
  } finally {
    await client.end();
  }
  return server;
}

/** Connects to the server as the given role; by default, as the superuser. */
export async function connectTo({ host, port, user }: Postgres, as = user): Promise<pg.Client> {
  const client = new pg.Client({ host, port, user: as, database: "postgres" });
  await client.connect();
  return client;
}
