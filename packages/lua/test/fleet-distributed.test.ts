/** examples/accounting/fleet-distributed.sql: hosts divided among servers on this machine. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { missing, Postgres } from "@cm4all/testing";
import { expect, it } from "vitest";
import { EXAMPLES, ExampleRoot } from "./examples.ts";

it.skipIf(missing("postgres", "psql") !== undefined)(
  "hosts are divided among servers, and the coordinator has the bills of all",
  async () => {
    await using coordinator = await Postgres.start();
    await using first = await Postgres.start();
    await using second = await Postgres.start();
    const shards = [first, second];
    for (const server of [coordinator, ...shards])
      psql(server, "-d", "postgres", "-c", "CREATE DATABASE accounting");
    for (const [i, shard] of shards.entries()) {
      psql(shard, "-f", join(EXAMPLES, "fleet.sql"));
      const variables = [`shard=shard${i}`, `host=${shard.host}`, `port=${shard.port}`];
      const args = variables.flatMap((text) => ["-v", text]);
      const file = ["-f", join(EXAMPLES, "fleet-distributed.sql")];
      // The file may be run again.
      psql(coordinator, ...args, ...file);
      psql(coordinator, ...args, ...file);
    }

    // The coordinator has the same views and columns as each shard.
    expect(psql(coordinator, "-c", DECLARED)).toBe(psql(first, "-c", DECLARED));

    for (let host = 0; host < 10; host++) await report(shards[host % 2], host, [1e6, 3e6, 2e6]);
    for (const shard of shards) {
      expect(psql(shard, "-c", "SELECT count(*) FROM fleet_usage")).toBe("5\n");
      psql(shard, "-c", "CALL bill_fleet()");
    }
    const day = psql(first, "-c", "SELECT DISTINCT day FROM fleet_bill").trim();
    const bill = `SELECT customer, hosts, cgroups, cpu_seconds FROM fleet_customer_days
      WHERE day = '${day}'`;
    expect(psql(coordinator, "-c", bill)).toBe("foo|10|10|30\n");
    expect(psql(coordinator, "-c", "SELECT cpu_seconds FROM fleet_customer_months")).toBe("30\n");
    expect(psql(coordinator, "-c", "SELECT cgroups, cpu_seconds FROM fleet_days")).toBe("10|30\n");
    expect(psql(coordinator, "-c", "SELECT count(*) FROM fleet_host_days")).toBe("10\n");
    expect(psql(coordinator, "-c", "SELECT count(unbilled_days), count(*) FROM fleet_hosts")).toBe(
      "0|10\n",
    );
    // Each shard is asked only for the rows of that day.
    const plan = psql(coordinator, "-c", `EXPLAIN (VERBOSE) ${bill}`);
    expect(plan.match(/Remote SQL: .*fleet_bill WHERE .*day = '/g)).toHaveLength(2);
    expect(plan.match(/Async Foreign Scan/g)).toHaveLength(2);

    // Without the second shard, the first still takes reports and makes bills.
    await second.pause();
    await report(first, 0, [4e6]);
    psql(first, "-c", "CALL bill_fleet()");
    expect(psql(first, "-c", "SELECT sum(cpu_seconds) FROM fleet_customer_days")).toBe("16\n");
    expect(() => psql(coordinator, "-c", bill)).toThrow("shard1");
  },
  60_000,
);

const DECLARED = `
  SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'
  UNION ALL
  SELECT table_name, string_agg(column_name || ' ' || data_type || ' ' || is_nullable, ', '
    ORDER BY ordinal_position) FROM information_schema.columns
  WHERE table_name IN ('fleet_bill', 'fleet_bill_host', 'fleet_host_day') GROUP BY table_name
  ORDER BY 1`;

/** Reports a cgroup of a host once for each CPU time in `usec`. */
async function report(
  server: Postgres | undefined,
  host: number,
  usec: readonly number[],
): Promise<void> {
  if (server === undefined) throw new Error("no such server");
  const root = new ExampleRoot();
  const path = root.make("/fleet", "foo");
  const measuredMs = Date.now();
  const environment = {
    ACCOUNTING_HOST: `host-${host}`,
    PGHOST: server.host,
    PGPORT: String(server.port),
    PGUSER: "cm4all-spawn-reaper",
  };
  Object.assign(process.env, environment);
  try {
    await root.runLists(
      "fleet.lua",
      usec.map((cpuTotalUsec) => [
        { path, id: "boot:1", measuredMs, birthMs: measuredMs, cpuTotalUsec },
      ]),
    );
  } finally {
    for (const name of Object.keys(environment)) delete process.env[name];
  }
}

function psql({ host, port, user }: Postgres, ...args: string[]): string {
  const words = ["-qXAt", "-h", host, "-p", String(port), "-U", user, "-d", "accounting"];
  return execFileSync("psql", [...words, "-v", "ON_ERROR_STOP=1", ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}
