/**
 * Up to a thousand hosts with examples/accounting/fleet.lua behind PgBouncer in transaction mode.
 * PgBouncer is killed and started again; later the server dies, and a synchronous standby takes
 * over.
 */
import { setTimeout as delay } from "node:timers/promises";
import { missing, Postgres } from "@cm4all/testing";
import { expect, it } from "vitest";
import { openPg } from "../src/pg/library.ts";
import { example } from "./examples.ts";
import { PgBouncer } from "./pg-bouncer.ts";
import { TestScript } from "./script.ts";
import { execute, REPLICATION_HBA, ServerDirectory, startStandby } from "./standby.ts";

/** The number of hosts; there are fewer in an ordinary run of the tests. */
const SESSIONS = process.env["TORTURE"] === "all" ? 1000 : 40;
/** The number of sessions with the server, for all hosts together. */
const SERVER_SESSIONS = 20;
const LISTS = 6;
const ROWS_PER_LIST = 5;
const SCHEMAS = ["public", "other"] as const;

it.skipIf(missing("postgres", "pgbouncer") !== undefined)(
  "no row of many hosts behind a pooler is lost, duplicated or in the wrong schema",
  async () => {
    using servers = new ServerDirectory();
    await accountThroughFailures(servers);
  },
  300_000,
);

async function accountThroughFailures(servers: ServerDirectory): Promise<void> {
  const directory = servers.for("first");
  const settings = { max_connections: "60" };
  await using preparing = await Postgres.start({ directory, hba: REPLICATION_HBA, settings });
  await execute(preparing, example("fleet.sql"));
  // Another fleet's function of the same name, in a schema of its own.
  await execute(
    preparing,
    `CREATE SCHEMA other; CREATE TABLE other.row (host text, id text, PRIMARY KEY (host, id));
     CREATE FUNCTION other.account_cgroups(from_host text, ids text[], float8[], float8[], text[],
       text[], float8[], bigint[], bigint[], bigint[], bigint[], bigint[]) RETURNS void
       LANGUAGE sql AS 'INSERT INTO other.row SELECT from_host, unnest(ids) ON CONFLICT DO NOTHING'`,
  );
  await preparing.pause();
  await using standby = await startStandby(preparing, servers.for("second"), { settings });
  await using primary = await Postgres.start({
    directory,
    hba: REPLICATION_HBA,
    settings: { ...settings, synchronous_standby_names: "*" },
  });
  await using bouncer = await PgBouncer.start(primary, "transaction", SERVER_SESSIONS, SESSIONS);

  const acknowledged = new Set<string>();
  let failures = 0;
  const hosts = Array.from({ length: SESSIONS }, (_, i) => hostScript(bouncer, i));
  const writeAll = async (script: TestScript, i: number) => {
    for (let list = 0; list < LISTS; list++) {
      const rows = Array.from({ length: ROWS_PER_LIST }, (_, n) => ({
        id: `boot:${list * ROWS_PER_LIST + n}`,
        measuredMs: Date.now(),
        cpuTotalUsec: 1e6,
      }));
      // Like the daemon, calls the handler again until it has succeeded.
      while ((await script.outcome(...rows)) !== undefined) {
        failures++;
        await delay(200);
      }
      for (const { id } of rows) acknowledged.add(`host-${i} ${id} ${SCHEMAS[i % 2]}`);
    }
  };
  try {
    const writing = Promise.all(hosts.map(writeAll));
    const total = SESSIONS * LISTS * ROWS_PER_LIST;
    const until = async (share: number) => {
      while (acknowledged.size < total * share) {
        await Promise.race([delay(10), writing]);
      }
    };
    await until(0.25);
    await bouncer.pause();
    await bouncer.resume();
    await until(0.5);
    await primary.pause("immediate");
    await execute(standby, "SELECT pg_promote()");
    bouncer.moveTo(standby);
    await writing;
  } finally {
    for (const script of hosts) script[Symbol.dispose]();
  }

  const found = await execute(
    standby,
    `SELECT host || ' ' || id || ' public' AS row FROM public.fleet_usage WHERE cpu_seconds = 1
     UNION ALL SELECT host || ' ' || id || ' other' FROM other.row`,
  );
  expect(failures).toBeGreaterThan(0);
  expect(acknowledged.size).toBe(SESSIONS * LISTS * ROWS_PER_LIST);
  expect(found).toHaveLength(acknowledged.size);
  expect(found.filter(({ row }) => !acknowledged.has(String(row)))).toEqual([]);
  await execute(standby, "CALL bill_fleet()");
  expect(
    await execute(standby, "SELECT sum(cpu_seconds)::int AS seconds FROM fleet_host_days"),
  ).toEqual([{ seconds: acknowledged.size / 2 }]);
}

/** Returns a host's script. Every second host uses another schema, through the same sessions. */
function hostScript(bouncer: PgBouncer, i: number): TestScript {
  process.env["ACCOUNTING_HOST"] = `host-${i}`;
  const code = example("fleet.lua").replace(
    'pg:new("dbname=accounting")',
    `pg:new([[${bouncer.conninfo}]], "${SCHEMAS[i % 2]}")`,
  );
  expect(code).toContain(bouncer.conninfo);
  try {
    return new TestScript(code, { open: openPg, handlerTimeoutMs: 60_000 });
  } finally {
    delete process.env["ACCOUNTING_HOST"];
  }
}
