/** The scripts of examples/accounting that account into PostgreSQL, against a real server. */
import { hostname } from "node:os";
import { missing, Postgres } from "@cm4all/testing";
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ExampleRoot, example } from "./examples.ts";

describe.skipIf(missing("postgres") !== undefined)("examples with PostgreSQL:", () => {
  let root: ExampleRoot;
  let server: Postgres;
  let client: Client;

  const query = async (sql: string) => (await client.query(sql)).rows;

  beforeAll(async () => {
    root = new ExampleRoot();
    server = await Postgres.start();
    const { directory: host, user, port } = server;
    const admin = new Client({ host, user, port, database: "postgres" });
    await admin.connect();
    await admin.query("CREATE DATABASE accounting");
    await admin.end();
    client = new Client({ host, user, port, database: "accounting" });
    await client.connect();
    Object.assign(process.env, { PGHOST: host, PGUSER: user, PGPORT: String(port) });
  });
  afterAll(async () => {
    for (const name of ["PGHOST", "PGUSER", "PGPORT"]) delete process.env[name];
    await client?.end();
    await server?.stop();
  });

  /** Makes the tables of an example, twice, because that is allowed, and empties them. */
  async function prepare(name: string, tables: string): Promise<void> {
    await client.query(example(name));
    await client.query(example(name));
    await client.query(`TRUNCATE ${tables}`);
  }

  describe("postgres.lua", () => {
    beforeEach(() => prepare("postgres.sql", "cgroup_usage"));

    it("has one row for each cgroup, with its newest figures", async () => {
      const known = {
        path: "/a.scope/x",
        id: "boot:1",
        birthMs: 1_990_000,
        cpuTotalUsec: 1_500_000,
        cpuUserUsec: 1_000_000,
        cpuSystemUsec: 500_000,
        memoryPeakBytes: 5 * 1024 ** 3,
        memoryEventsOomKill: 1,
        pidsPeak: 7,
        ioReadBytes: 4096,
        ioWriteBytes: 0,
      };
      await root.run("postgres.lua", [
        known,
        known,
        { path: "/a.scope/y", id: "boot:2" },
        { ...known, report: 2, cpuTotalUsec: 2_500_000 },
      ]);
      const rows = await query("SELECT * FROM cgroup_usage ORDER BY id");
      expect(rows).toEqual([
        {
          host: hostname(),
          id: "boot:1",
          path: "/a.scope/x",
          report: 2,
          reported: expect.any(Date),
          age_seconds: 10,
          cpu_seconds: 2.5,
          cpu_user_seconds: 1,
          cpu_system_seconds: 0.5,
          memory_peak_bytes: "5368709120",
          oom_kills: "1",
          pids_peak: "7",
          io_read_bytes: "4096",
          io_write_bytes: "0",
        },
        expect.objectContaining({ id: "boot:2", cpu_seconds: null, io_write_bytes: null }),
      ]);
    });

    it("takes any name", async () => {
      await root.run("postgres.lua", [
        { path: `/'"; DROP TABLE cgroup_usage; --\n\xff${"x".repeat(255)}` },
      ]);
      expect(await query("SELECT path FROM cgroup_usage")).toEqual([
        { path: `/'"; DROP TABLE cgroup_usage; --\\x0a\\xff${"x".repeat(255)}` },
      ]);
    });
  });

  describe("customers.lua", () => {
    beforeEach(() => prepare("customers.sql", "customer_usage, customer_cgroup"));

    it("counts each second of each customer once", async () => {
      const first = {
        path: root.make("/customers/a", "foo"),
        id: "boot:1",
        cpuTotalUsec: 2_000_000,
        ioReadBytes: 10,
        memoryPeakBytes: 1000,
      };
      const second = { ...first, id: "boot:2", ioWriteBytes: 5, memoryPeakBytes: 500 };
      const other = { path: root.make("/customers/b", "bar"), id: "boot:3", cpuTotalUsec: 1 };
      await root.run("customers.lua", [
        first,
        first,
        second,
        other,
        { path: "/customers", id: "boot:4", cpuTotalUsec: 9_000_000 },
        { ...first, report: 2, cpuTotalUsec: 3_000_000, ioReadBytes: 20 },
      ]);
      expect(
        await query(`SELECT customer, cpu_seconds, io_bytes, memory_peak_bytes
          FROM customer_usage WHERE day = current_date ORDER BY customer`),
      ).toEqual([
        { customer: "bar", cpu_seconds: 0.000001, io_bytes: "0", memory_peak_bytes: null },
        { customer: "foo", cpu_seconds: 5, io_bytes: "35", memory_peak_bytes: "1000" },
      ]);
    });
  });

  describe("fleet.lua", () => {
    beforeEach(() => prepare("fleet.sql", "fleet_usage"));

    const CALL =
      "SELECT account_cgroup(current_date + $1::int, 'a', 'boot:1', current_date + $2::int, '/x', 'foo', $3, $4, 1, 1)";

    it("has a row for each host, cgroup and day", async () => {
      const path = root.make("/fleet", "foo");
      try {
        for (const host of ["a", "b"]) {
          process.env["ACCOUNTING_HOST"] = host;
          await root.run("fleet.lua", [
            { path, id: "boot:1", birthMs: Date.now(), cpuTotalUsec: 1_000_000 },
            { path, id: "boot:1", report: 2, cpuTotalUsec: 2_000_000, memoryPeakBytes: 7 },
            { path: "/nobodys\xff", id: "boot:2", ioReadBytes: 5 },
          ]);
        }
      } finally {
        delete process.env["ACCOUNTING_HOST"];
      }
      expect(await query("SELECT * FROM fleet_customer_days")).toEqual([
        {
          day: expect.any(Date),
          customer: "foo",
          cgroups: "2",
          hosts: "2",
          cpu_seconds: 4,
          io_bytes: "0",
          memory_peak_bytes: "7",
        },
      ]);
      expect(
        await query("SELECT host, cgroups, cpu_seconds, io_bytes FROM fleet_host_days ORDER BY 1"),
      ).toEqual([
        { host: "a", cgroups: "2", cpu_seconds: 2, io_bytes: "5" },
        { host: "b", cgroups: "2", cpu_seconds: 2, io_bytes: "5" },
      ]);
      // Not where rows without a partition of their own go.
      expect(await query("SELECT count(*) FROM fleet_usage_other")).toEqual([{ count: "0" }]);
    });

    it("counts each second once, also of what is reported on several days", async () => {
      await client.query(CALL, [0, 0, 5, 50]);
      await client.query(CALL, [1, 0, 5, 50]);
      await client.query(CALL, [3, null, 7, 60]);
      await client.query(CALL, [3, 0, 8, 70]);
      expect(
        await query("SELECT cpu_seconds, io_bytes FROM fleet_customer_days ORDER BY day"),
      ).toEqual([
        { cpu_seconds: 5, io_bytes: "50" },
        { cpu_seconds: 0, io_bytes: "0" },
        { cpu_seconds: 3, io_bytes: "20" },
      ]);
    });

    it("drops the days that are too old, and makes those to come", async () => {
      await client.query(
        `CREATE TABLE fleet_usage_20200131 PARTITION OF fleet_usage FOR VALUES FROM ('2020-01-31') TO ('2020-02-01')`,
      );
      await client.query("CALL keep_fleet_days(20, 90)");
      const days = await query(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'fleet_usage'::regclass ORDER BY 1",
      );
      expect(days).toHaveLength(22);
      expect(days).not.toContainEqual({ name: "fleet_usage_20200131" });
    });

    it("lets a host call the function, and nothing else", async () => {
      await client.query("SET ROLE fleet_host");
      try {
        await client.query(CALL, [0, 0, 1, 1]);
        await expect(query("SELECT * FROM fleet_usage")).rejects.toThrow("permission denied");
        await expect(query("SELECT * FROM fleet_host_days")).rejects.toThrow("permission denied");
        await expect(query("CALL keep_fleet_days(0, 0)")).rejects.toThrow(/owner|permission/);
      } finally {
        await client.query("RESET ROLE");
      }
    });
  });
});
