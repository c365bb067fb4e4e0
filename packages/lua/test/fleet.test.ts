/** examples/accounting/fleet.lua and its tables, with a real server. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { missing, Postgres } from "@cm4all/testing";
import { Client, type ClientConfig } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { openLibraries } from "../src/libs/index.ts";
import { EXAMPLES, ExampleRoot, example } from "./examples.ts";
import { TestScript } from "./script.ts";

/** The role of the daemon's own user; hosts log in as this role. */
const REAPER = "cm4all-spawn-reaper";

describe.skipIf(missing("postgres", "psql") !== undefined)("fleet.lua", () => {
  let root: ExampleRoot;
  let server: Postgres;
  let client: Client;

  const query = async (sql: string, values?: unknown[]) => (await client.query(sql, values)).rows;
  const connect = async (options: ClientConfig = {}) => {
    const { host, user, port } = server;
    const connected = new Client({ host, user, port, database: "accounting", ...options });
    // The clients of a failed test lose their sessions when the database is dropped.
    connected.on("error", () => {});
    await connected.connect();
    return connected;
  };

  /** Returns noon, in UTC, of the day that is `day` days after today. */
  const noon = (day: number) => {
    const today = new Date();
    return Date.UTC(today.getUTCFullYear(), today.getUTCMonth(), today.getUTCDate() + day, 12);
  };
  const AGO = "(now() AT TIME ZONE 'UTC')::date - day AS ago";

  beforeAll(async () => {
    root = new ExampleRoot();
    server = await Postgres.start();
    const { host, port } = server;
    client = await connect({ database: "postgres" });
    Object.assign(process.env, { PGHOST: host, PGUSER: REAPER, PGPORT: String(port) });
  });
  afterAll(async () => {
    for (const name of ["PGHOST", "PGUSER", "PGPORT"]) delete process.env[name];
    await client?.end();
    await server?.stop();
  });
  beforeEach(async () => {
    await client.end();
    client = await connect({ database: "postgres" });
    await client.query("DROP DATABASE IF EXISTS accounting WITH (FORCE)");
    await client.query("CREATE DATABASE accounting");
    await client.end();
    client = await connect();
    await client.query(example("fleet.sql"));
  });

  const CALL = `SELECT account_cgroups('a', '{boot:1}', '{0}', NULL, '{/x}', NULL, '{1}', '{1}',
    NULL, NULL)`;
  /** Returns a cgroup that had used this much CPU time at noon, `day` days after today. */
  const at = (day: number, seconds: number, birthMs?: number) => ({
    path: root.make("/fleet", "foo"),
    measuredMs: noon(day),
    cpuTotalUsec: seconds * 1e6,
    ...(birthMs === undefined ? {} : { birthMs }),
  });
  const running = (...told: Parameters<typeof at>) => ({ ...at(...told), isRunning: true });

  /** Brings the bills up to date, and returns the bill of each day. */
  async function bill(): Promise<unknown[]> {
    await client.query("CALL bill_fleet()");
    const columns = "cgroups, cpu_seconds, io_bytes, memory_peak_bytes, oom_kills, refused_forks";
    const sums = columns.replace(/\w+/g, (name) => `${/peak/.test(name) ? "max" : "sum"}(${name})`);
    const made = `SELECT day, host, customer IS NULL, ${sums} FROM fleet_bill GROUP BY 1, 2, 3`;
    expect(
      await query(`${made} EXCEPT SELECT day, host, is_nobodys, ${columns} FROM fleet_bill_host`),
    ).toEqual([]);
    return await query(`SELECT ${AGO}, cpu_seconds FROM fleet_customer_days ORDER BY day`);
  }

  describe("accounts", () => {
    it("each host, cgroup and day in a row of its own, for bills by customer and host", async () => {
      const path = root.make("/fleet", "foo");
      try {
        for (const host of ["a", "b"]) {
          process.env["ACCOUNTING_HOST"] = host;
          const measuredMs = Date.now();
          const first = { path, id: "boot:1", measuredMs, birthMs: measuredMs, cpuTotalUsec: 1e6 };
          await root.runLists("fleet.lua", [
            [first, { path: "/nobodys\xff", id: "boot:2", measuredMs, ioReadBytes: 5 }],
            [{ ...first, cpuTotalUsec: 2e6, memoryPeakBytes: 7, memoryEventsOomKill: 2 }],
            [{ ...first, pidsEventsMax: 3, pidsPeak: 4 }],
          ]);
        }
      } finally {
        delete process.env["ACCOUNTING_HOST"];
      }
      await client.query("CALL bill_fleet()");
      const figures = {
        cpu_seconds: 4,
        io_bytes: "0",
        memory_peak_bytes: "7",
        pids_peak: "4",
        oom_kills: "4",
        refused_forks: "6",
      };
      expect(await query("SELECT * FROM fleet_customer_days")).toEqual([
        { ...figures, day: expect.any(Date), customer: "foo", cgroups: "2", hosts: "2" },
      ]);
      expect(
        await query(`SELECT *, extract(day FROM month) AS first FROM fleet_customer_months`),
      ).toEqual([{ ...figures, month: expect.any(Date), customer: "foo", first: "1" }]);
      // Usage that belongs to no customer is not included.
      expect(await query("SELECT * FROM fleet_days")).toEqual([
        { ...figures, day: expect.any(Date), cgroups: "2" },
      ]);
      expect(
        await query("SELECT host, cgroups, cpu_seconds, io_bytes FROM fleet_host_days ORDER BY 1"),
      ).toEqual([
        { host: "a", cgroups: "2", cpu_seconds: 2, io_bytes: "5" },
        { host: "b", cgroups: "2", cpu_seconds: 2, io_bytes: "5" },
      ]);
    });

    it("no future day, and none long past, whatever a host's clock says", async () => {
      await root.run("fleet.lua", [
        { id: "ahead", measuredMs: noon(20), birthMs: noon(20) },
        { id: "behind", measuredMs: 0 },
      ]);
      await client.query(`SELECT account_cgroups('a', '{nan,inf,old,none}',
        '{NaN,Infinity,-1e300,NULL}', '{0,NaN,-Infinity,1}', '{/,/,/,/}', NULL, '{1,1,1,1}',
        '{1,1,1,1}', NULL, NULL)`);
      expect(await query(`SELECT id, ${AGO} FROM fleet_usage ORDER BY id`)).toEqual([
        { id: "ahead", ago: 0 },
        { id: "behind", ago: 31 },
        { id: "inf", ago: 0 },
        { id: "nan", ago: 31 },
        { id: "none", ago: 0 },
        { id: "old", ago: 31 },
      ]);
      // Partitions for future days can still be made.
      await client.query("CALL make_fleet_days(20)");
    });

    it("any bytes as a customer", async () => {
      await root.run("fleet.lua", [{ path: root.make("/fleet", "f\xff\n"), measuredMs: noon(0) }]);
      expect(await query("SELECT customer FROM fleet_usage")).toEqual([
        { customer: "f\\xff\\x0a" },
      ]);
    });

    it("in the partitions of the reported days, and locks no others", async () => {
      await client.query("SET plan_cache_mode = force_generic_plan");
      await client.query("BEGIN");
      await client.query(
        `SELECT account_cgroups('a', '{boot:1}', '{${noon(0) / 1000}}', '{0}', '{/x}', NULL, '{1}',
          '{1}', NULL, NULL)`,
      );
      const locked = await query(`SELECT DISTINCT relation::regclass::text AS name FROM pg_locks
        JOIN pg_class ON oid = relation
        WHERE pid = pg_backend_pid() AND relkind = 'r' AND relname LIKE 'fleet_usage_%'`);
      await client.query("COMMIT");
      expect(locked).toHaveLength(1);
    });
  });

  describe("bills", () => {
    it("each second once, even of cgroups that are reported on several days", async () => {
      await root.run("fleet.lua", [
        running(-4, 4, noon(-4)),
        running(-4, 5, noon(-4)),
        running(-3, 5, noon(-4)),
        running(-1, 7),
        at(-1, 8),
      ]);
      expect(await bill()).toEqual([
        { ago: 4, cpu_seconds: 5 },
        { ago: 3, cpu_seconds: 0 },
        { ago: 1, cpu_seconds: 3 },
      ]);
    });

    it("a late report on its day, and less on the days after it", async () => {
      await root.run("fleet.lua", [at(0, 20, noon(-4))]);
      expect(await bill()).toEqual([{ ago: 0, cpu_seconds: 20 }]);
      await root.run("fleet.lua", [running(-2, 12, noon(-4)), running(-4, 5, noon(-4))]);
      // Until the next call of bill_fleet, the earlier bill stands.
      expect(await query("SELECT cpu_seconds FROM fleet_bill")).toEqual([{ cpu_seconds: 20 }]);
      const expected = [
        { ago: 4, cpu_seconds: 5 },
        { ago: 2, cpu_seconds: 7 },
        { ago: 0, cpu_seconds: 8 },
      ];
      expect(await bill()).toEqual(expected);
      // The same reports for the second time, one of them with a lower figure.
      await root.run("fleet.lua", [running(-2, 11, noon(-4)), running(-4, 5, noon(-4))]);
      expect(await bill()).toEqual(expected);
    });

    it("no second twice if a clock went back", async () => {
      await root.run("fleet.lua", [running(-1, 10, noon(-1)), at(0, 7, noon(-1))]);
      expect(await bill()).toEqual([
        { ago: 1, cpu_seconds: 10 },
        { ago: 0, cpu_seconds: 0 },
      ]);
      await root.run("fleet.lua", [
        { ...running(-1, 1), id: "boot:2" },
        // According to this report, the cgroup was created after it was measured.
        { ...at(0, 3, noon(2)), id: "boot:2" },
      ]);
      expect(await bill()).toEqual([
        { ago: 1, cpu_seconds: 11 },
        { ago: 0, cpu_seconds: 2 },
      ]);
    });

    it("no second twice if a clock was ahead when the cgroup was created", async () => {
      // Created at noon two days ago, by a clock that was a day ahead and has been set back.
      const early = running(-3, 100, noon(-2));
      const late = at(-2, 110, noon(-2));
      await root.run("fleet.lua", [early, late]);
      const expected = [
        { ago: 3, cpu_seconds: 100 },
        { ago: 2, cpu_seconds: 10 },
      ];
      expect(await bill()).toEqual(expected);
      await client.query("TRUNCATE fleet_usage, fleet_bill, fleet_bill_host, fleet_early");
      await root.run("fleet.lua", [late]);
      expect(await bill()).toEqual([{ ago: 2, cpu_seconds: 110 }]);
      await root.run("fleet.lua", [early]);
      expect(await bill()).toEqual(expected);
    });

    it("no second twice if the clock of a host is ahead of the server's", async () => {
      const tomorrow = noon(1) - 12 * 3_600_000;
      await root.run("fleet.lua", [{ ...running(0, 5, tomorrow), measuredMs: tomorrow }]);
      await client.query("UPDATE fleet_usage SET day = day - 1");
      await client.query("UPDATE fleet_early SET day = day - 1");
      await root.run("fleet.lua", [at(0, 7, tomorrow - 86_400_000)]);
      expect(await bill()).toEqual([{ ago: 0, cpu_seconds: 2 }]);
    });

    it("no second twice if a report comes more than 31 days late", async () => {
      await client.query(`SELECT make_fleet_day((now() AT TIME ZONE 'UTC')::date - 35);
        INSERT INTO fleet_usage (host, id, day, first_day, path, cpu_seconds, io_bytes)
        SELECT '${hostname()}', 'boot-1', day, day, '/x', 5, 0
        FROM (SELECT (now() AT TIME ZONE 'UTC')::date - 35 AS day) AS list`);
      await root.run("fleet.lua", [at(-34, 8, noon(-35))]);
      expect(await bill()).toEqual([{ ago: 31, cpu_seconds: 3 }]);
    });

    // At any time, the date in one of these zones differs from that in UTC.
    it.each(["Pacific/Kiritimati", "Etc/GMT+12"])(
      "days that begin at midnight UTC, even if the time zone is %s",
      async (zone) => {
        await client.query(`ALTER DATABASE accounting SET timezone = '${zone}'`);
        const midnight = noon(-1) + 12 * 3_600_000;
        const told = (ms: number, seconds: number) => ({
          ...at(0, seconds, noon(-1)),
          measuredMs: ms,
        });
        await root.run("fleet.lua", [told(midnight - 1, 2), told(midnight, 3)]);
        expect(await bill()).toEqual([
          { ago: 1, cpu_seconds: 2 },
          { ago: 0, cpu_seconds: 1 },
        ]);
      },
    );

    it("only days and hosts with new reports", async () => {
      await root.run("fleet.lua", [at(0, 1)]);
      await bill();
      const [before] = await query("SELECT ctid, xmin FROM fleet_bill");
      await client.query(CALL.replace("'{0}'", `'{${noon(0) / 1000}}'`));
      await client.query("CALL bill_fleet()");
      expect(await query("SELECT ctid, xmin FROM fleet_bill WHERE host <> 'a'")).toEqual([before]);
      expect(await query("SELECT unbilled_days FROM fleet_hosts")).toEqual([
        { unbilled_days: null },
        { unbilled_days: null },
      ]);
    });

    it("a report that arrives while the bill is being made, at the next call", async () => {
      await client.query(CALL);
      const host = await connect();
      await host.query("BEGIN");
      await host.query(CALL.replace("'{boot:1}'", "'{boot:2}'"));
      const billing = client.query("CALL bill_fleet()");
      // At its end, bill_fleet waits for the host's row.
      await until(host, "SELECT FROM pg_locks WHERE NOT granted");
      await host.query("COMMIT");
      await host.end();
      await billing;
      expect(await query("SELECT reports - billed AS left FROM fleet_host_day")).toEqual([
        { left: "1" },
      ]);
      await client.query("CALL bill_fleet()");
      expect(await query("SELECT cgroups FROM fleet_bill")).toEqual([{ cgroups: "2" }]);
    });

    it("days by host, too, if they were billed before there were sums by host", async () => {
      await root.run("fleet.lua", [at(-1, 5), { ...at(-1, 3), id: "boot:2", path: "/nobodys" }]);
      expect(await bill()).toEqual([{ ago: 1, cpu_seconds: 5 }]);
      const sums = () => query("SELECT * FROM fleet_bill_host ORDER BY is_nobodys");
      const before = await sums();
      expect(before).toHaveLength(2);
      await client.query("DROP TABLE fleet_bill_host CASCADE");
      await client.query(example("fleet.sql"));
      expect(await sums()).toEqual(before);
    });

    it("the difference from the cgroup's earlier days, without reading whole days", async () => {
      await client.query(`INSERT INTO fleet_usage (host, id, day, path, cpu_seconds, io_bytes)
        SELECT 'a', 'b:' || n, (now() AT TIME ZONE 'UTC')::date - 1, '/x', 1, 1
        FROM generate_series(1, 50000) AS n`);
      await client.query("VACUUM ANALYZE fleet_usage");
      const [row] = await query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
        SELECT max(cpu_seconds) FROM fleet_usage
        WHERE host = 'a' AND id = 'b:7' AND day < (now() AT TIME ZONE 'UTC')::date`);
      const plan = row?.["QUERY PLAN"][0].Plan;
      // One or two pages for each day; the index of the filled day alone has 400.
      expect(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]).toBeLessThan(150);
    });

    it("are found by day, month and customer with an index", async () => {
      await client.query(`INSERT INTO fleet_bill (day, customer, host, cgroups, cpu_seconds, io_bytes,
          oom_kills, refused_forks)
        SELECT date '2026-01-01' + d, 'c' || c, 'h' || h, 1, 1, 1, 0, 0
        FROM generate_series(0, 364) AS d, generate_series(1, 50) AS c, generate_series(1, 3) AS h`);
      await client.query("ANALYZE fleet_bill");
      const plan = async (sql: string) =>
        (await query(`EXPLAIN (COSTS OFF) ${sql}`)).map((row) => row["QUERY PLAN"]).join("\n");
      expect(await plan("SELECT * FROM fleet_customer_days WHERE day = '2026-03-01'")).toMatch(
        /Scan .*fleet_bill_key/,
      );
      expect(await plan("SELECT * FROM fleet_customer_months WHERE month = '2026-03-01'")).toMatch(
        /Scan .*fleet_bill_month/,
      );
      expect(await plan("SELECT * FROM fleet_customer_days WHERE customer = 'c7'")).toMatch(
        /Scan .*fleet_bill_customer/,
      );
    });
  });

  describe("days", () => {
    const OLD = "fleet_usage_20200131";
    const makeOld = () => query("SELECT make_fleet_day('2020-01-31')");
    const days = async () =>
      (
        await query(`SELECT inhrelid::regclass::text AS name FROM pg_inherits
          WHERE inhparent = 'fleet_usage'::regclass`)
      ).map(({ name }) => name);
    const daily = () => {
      const { host, user, port } = server;
      const args = ["-qXh", host, "-U", user, "-p", String(port), "-d", "accounting"];
      return [...args, "-f", join(EXAMPLES, "fleet-daily.sql")];
    };

    it("are made, and dropped when they are old and billed", async () => {
      await makeOld();
      await client.query("CALL make_fleet_days(20)");
      await client.query(`INSERT INTO fleet_early VALUES ('a', 'old', '2020-01-31'),
        ('a', 'new', now() - interval '80 days')`);
      execFileSync("psql", daily(), { stdio: "pipe" });
      expect(await days()).toHaveLength(31 + 1 + 20);
      expect(await query("SELECT id FROM fleet_early")).toEqual([{ id: "new" }]);
      expect(await query("SELECT to_regclass($1) AS name", [OLD])).toEqual([{ name: null }]);
    });

    it("are not dropped before they are on the bill", async () => {
      await makeOld();
      await client.query("INSERT INTO fleet_host_day VALUES ('a', '2020-01-31', 2, 1, now())");
      expect(await query("SELECT fleet_days_to_drop(90)")).toEqual([]);
      await client.query("CALL bill_fleet()");
      expect(await query("SELECT fleet_days_to_drop(90)")).toHaveLength(2);
      await expect(query("SELECT fleet_days_to_drop(31)")).rejects.toThrow("up to 31 days late");
    });

    it("are still on the bills after they have been dropped", async () => {
      await makeOld();
      await client.query(`INSERT INTO fleet_usage (host, id, day, path, customer, cpu_seconds, io_bytes)
        VALUES ('a', 'boot:1', '2020-01-31', '/', 'foo', 3, 0)`);
      await client.query("INSERT INTO fleet_host_day VALUES ('a', '2020-01-31', 1, 0, now())");
      execFileSync("psql", daily(), { stdio: "pipe" });
      await client.query("UPDATE fleet_host_day SET reports = 2");
      expect(await days()).not.toContain(OLD);
      await client.query("CALL bill_fleet()");
      expect(await query("SELECT cpu_seconds FROM fleet_bill")).toEqual([{ cpu_seconds: 3 }]);
    });

    it.each([
      ["long query", "BEGIN; SELECT count(*) FROM fleet_usage"],
      // Not pg_dump, which refuses to run if it is older than the server: only the locks it takes.
      [
        "pg_dump",
        `BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;
         LOCK TABLE fleet_usage, fleet_bill, fleet_host_day IN ACCESS SHARE MODE;
         SELECT count(*) FROM pg_class`,
      ],
    ])("are made and dropped during a %s, and no host waits for it to end", async (_, reading) => {
      await makeOld();
      const reader = await connect();
      await reader.query(reading);
      const dropping = spawn("psql", daily(), { stdio: "inherit" });
      const ended = once(dropping, "exit");
      // Dropping the old day has begun, and waits for the reader to end.
      await until(client, "SELECT FROM pg_inherits WHERE inhdetachpending");
      const host = await connect({ user: REAPER });
      await host.query("SET lock_timeout = '1ms'");
      for (let i = 0; i < 20; i++) await host.query(CALL);
      await client.query("SET lock_timeout = '1ms'");
      await client.query("CALL make_fleet_days(22)");
      expect(dropping.exitCode).toBeNull();
      await reader.end();
      expect(await ended).toEqual([0, null]);
      await host.end();
      expect(await days()).toHaveLength(31 + 1 + 22);
    });

    it("are dropped at the next attempt if the first one was interrupted", async () => {
      await makeOld();
      const reader = await connect();
      await reader.query("BEGIN; SELECT count(*) FROM fleet_usage");
      const dropping = spawn("psql", daily(), { stdio: "pipe" });
      const ended = once(dropping, "exit");
      await until(client, "SELECT FROM pg_inherits WHERE inhdetachpending");
      await client.query(`SELECT pg_cancel_backend(pid) FROM pg_stat_activity
        WHERE query LIKE 'ALTER TABLE fleet_usage DETACH%' AND pid <> pg_backend_pid()`);
      expect(await ended).toEqual([3, null]);
      await reader.query("COMMIT");
      await reader.end();
      execFileSync("psql", daily(), { stdio: "pipe" });
      expect(await query("SELECT to_regclass($1) AS name", [OLD])).toEqual([{ name: null }]);
    });

    it("neither lose nor duplicate anything while hosts write", async () => {
      let isOver = false;
      const writing = [0, 1, 2, 3].map(async (n) => {
        const host = await connect({ user: REAPER });
        let count = 0;
        for (; !isOver || count < 20; count++) {
          const ids = [0, 1, 2].map((i) => `boot:${count * 3 + i}`).join();
          const times = [0, -1, -(count % 30)].map((day) => noon(day) / 1000).join();
          await host.query(`SELECT account_cgroups('h${n}', '{${ids}}', '{${times}}', '{${times}}',
            '{/,/,/}', '{c,c,c}', '{1,1,1}', '{1,1,1}', NULL, NULL)`);
        }
        await host.end();
        return count * 3;
      });
      try {
        for (let i = 0; i < 5; i++) {
          await makeOld();
          await client.query(`CALL make_fleet_days(${15 + i})`);
          execFileSync("psql", daily(), { stdio: "pipe" });
        }
      } finally {
        isOver = true;
      }
      const rows = (await Promise.all(writing)).reduce((sum, count) => sum + count, 0);
      await client.query("CALL bill_fleet()");
      expect(
        await query("SELECT sum(cgroups)::int AS n, sum(cpu_seconds) AS s FROM fleet_bill"),
      ).toEqual([{ n: rows, s: rows }]);
      expect(await days()).toHaveLength(31 + 1 + 19);
    });
  });

  async function until(on: Client, sql: string): Promise<void> {
    const deadline = Date.now() + 60_000;
    while ((await on.query(sql)).rowCount === 0) {
      if (Date.now() > deadline) throw new Error(`the condition did not become true: ${sql}`);
      await delay(10);
    }
  }

  describe("roles:", () => {
    const as = async (role: string, work: () => Promise<void>) => {
      await client.query(`SET ROLE "${role}"`);
      try {
        await work();
      } finally {
        await client.query("RESET ROLE");
      }
    };

    it.each(["fleet_host", "fleet_every_host", REAPER])(
      "%s may call account_cgroups, and do nothing else",
      async (role) => {
        await as(role, async () => {
          await client.query(CALL);
          for (const table of ["fleet_usage", "fleet_bill", "fleet_host_day", "fleet_host_days"])
            await expect(query(`SELECT * FROM ${table}`)).rejects.toThrow("permission denied");
          await expect(query("CALL bill_fleet()")).rejects.toThrow("permission denied");
          await expect(query("CALL make_fleet_days(30)")).rejects.toThrow("permission denied");
        });
      },
    );

    it("fleet_owner, which is not a superuser, does the daily work and installs newer versions", async () => {
      const [role] = await query("SELECT rolsuper FROM pg_roles WHERE rolname = 'fleet_owner'");
      expect(role).toEqual({ rolsuper: false });
      await as("fleet_owner", async () => {
        await client.query(example("fleet.sql"));
        await client.query("SET ROLE fleet_owner");
        await client.query("CALL make_fleet_days(16)");
        await client.query("CALL bill_fleet()");
        await query("SELECT make_fleet_day('2020-01-31')");
        for (const { statement } of await query("SELECT fleet_days_to_drop(90) AS statement"))
          await client.query(statement);
      });
      expect(
        await query(`SELECT relname FROM pg_class WHERE relname LIKE 'fleet%' AND relkind <> 'i'
          AND relowner <> 'fleet_owner'::regrole`),
      ).toEqual([]);
    });

    it("fleet_reader may read, and do nothing else", async () => {
      await as("fleet_reader", async () => {
        for (const table of ["usage", "bill", "customer_days", "customer_months", "hosts"])
          await query(`SELECT * FROM fleet_${table}`);
        await expect(query(CALL)).rejects.toThrow("permission denied");
        await expect(query("DELETE FROM fleet_bill")).rejects.toThrow("permission denied");
      });
    });
  });

  it.skipIf(missing("root") !== undefined)("works with Debian's pg_hba.conf", async () => {
    const { username: user } = userInfo();
    await using peers = await Postgres.start({
      user,
      hba: [
        "local all postgres peer",
        "local all all peer",
        "host all all 127.0.0.1/32 scram-sha-256",
      ],
    });
    const psql = (as: string, ...args: string[]) => {
      const words = [`--reuid=${as}`, "--clear-groups", "psql", "-qXAt", "-h", peers.host];
      const env = { PATH: process.env["PATH"] };
      return execFileSync("setpriv", [...words, "-d", "accounting", ...args], {
        env,
        encoding: "utf8",
        cwd: "/",
      });
    };
    psql(user, "-d", "postgres", "-c", "CREATE DATABASE accounting");
    psql(user, "-f", join(EXAMPLES, "fleet.sql"));
    // Instead of the daemon's own user, which may not exist on this machine.
    psql(user, "-c", "CREATE ROLE nobody LOGIN IN ROLE fleet_every_host");
    expect(example("fleet.lua")).toContain('pg:new("dbname=accounting")');
    psql("nobody", "-c", CALL);
    expect(psql(user, "-c", "SELECT count(*) FROM fleet_usage")).toBe("1\n");
  });

  describe("a host's own role", () => {
    const DEBIAN = [
      "local all all trust",
      "host all all 127.0.0.1/32 scram-sha-256",
      "host all all ::1/128 scram-sha-256",
    ];
    let apart: Postgres;
    let directory: string;
    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), "fleet-role-"));
      apart = await Postgres.start({ hba: DEBIAN, tcp: true });
      await using admin = await open({});
      await admin.query("CREATE DATABASE accounting");
      await using owner = await open({ database: "accounting" });
      await owner.query(example("fleet.sql"));
      for (const host of ["web1", "web2"])
        await owner.query(
          `CREATE ROLE ${host} LOGIN CONNECTION LIMIT 3 PASSWORD 'of ${host}' IN ROLE fleet_host`,
        );
    });
    afterAll(async () => {
      await apart?.stop();
      rmSync(directory, { recursive: true });
    });

    const open = async (options: ClientConfig) => {
      const { host, user, port } = apart;
      const one = new Client({ host, user, port, database: "postgres", ...options });
      await one.connect();
      return Object.assign(one, { [Symbol.asyncDispose]: () => one.end() });
    };
    /** Opens a session as if from another machine. */
    const openAs = (user: string, password: string) =>
      open({ host: "127.0.0.1", user, password, database: "accounting" });
    const call = (host: string) => CALL.replace("'a'", `'${host}'`);

    it("reports for that host, with the script and Debian's pg_hba.conf", async () => {
      const passfile = join(directory, "pgpass");
      writeFileSync(passfile, "127.0.0.1:*:accounting:web1:of web1\n", { mode: 0o600 });
      const [, conninfo = ""] = /^-- pg:new\((".*" \.\. host)\)$/m.exec(example("fleet.lua")) ?? [];
      const other = conninfo
        .replace("db.example", `127.0.0.1 port=${apart.port}`)
        .replace("sslmode=verify-full", "sslmode=disable")
        .replace(/passfile=\S+/, `passfile=${passfile}`);
      const text = example("fleet.lua").replace(/^local db = .*$/m, `local db = pg:new(${other})`);
      vi.stubEnv("ACCOUNTING_HOST", "web1");
      using script = new TestScript(text, { open: openLibraries });
      vi.unstubAllEnvs();
      await script.handle({ path: "/x", id: "b:1", measuredMs: noon(0), cpuTotalUsec: 5e6 });
      expect(script.errors).toEqual([]);
      await using owner = await open({ database: "accounting" });
      const { rows } = await owner.query("SELECT host, cpu_seconds FROM fleet_usage");
      expect(rows).toEqual([{ host: "web1", cpu_seconds: 5 }]);
    });

    it("reports for no other host, and takes no other role", async () => {
      await using web2 = await openAs("web2", "of web2");
      await web2.query(call("web2"));
      for (const host of ["web1", "WEB2", "web2 ", "fleet_host", ""])
        await expect(web2.query(call(host))).rejects.toThrow(
          `web2 may report only for the host of that name, not for ${host}`,
        );
      for (const role of ["web1", "fleet_every_host", "fleet_owner", REAPER])
        await expect(web2.query(`SET ROLE "${role}"`)).rejects.toThrow("permission denied");
      for (const role of ["web1", REAPER])
        await expect(web2.query(`SET SESSION AUTHORIZATION "${role}"`)).rejects.toThrow(
          "permission denied",
        );
      // As its group role, it can do no more than as itself.
      await web2.query("SET ROLE fleet_host");
      await expect(web2.query(call("web1"))).rejects.toThrow("web2 may report only for");
      await expect(web2.query("DELETE FROM fleet_usage")).rejects.toThrow("permission denied");
    });

    it("needs its password, and the daemon's own user, which has none, cannot log in", async () => {
      await expect(openAs("web1", "of web2")).rejects.toThrow("password authentication failed");
      await expect(openAs(REAPER, "")).rejects.toThrow(/password/);
    });

    it("is not needed by hosts with an earlier fleet.lua, which log in as fleet_host", async () => {
      await using owner = await open({ database: "accounting" });
      await owner.query("ALTER ROLE fleet_host LOGIN");
      await using old = await open({ user: "fleet_host", database: "accounting" });
      await old.query(call("web9"));
    });

    it("is required if the daemon's own user is removed from fleet_every_host", async () => {
      await using owner = await open({ database: "accounting" });
      await owner.query(`REVOKE fleet_every_host FROM "${REAPER}"`);
      await owner.query(example("fleet.sql"));
      await using reaper = await open({ user: REAPER, database: "accounting" });
      await expect(reaper.query(call("web1"))).rejects.toThrow("permission denied for function");
    });
  });

  it("keeps the rows of an earlier fleet.sql, and accepts hosts with an earlier fleet.lua", async () => {
    await client.query("DROP OWNED BY fleet_owner");
    await client.query(`
      CREATE TABLE fleet_usage (day date NOT NULL, host text NOT NULL, id text NOT NULL,
        path text NOT NULL, customer text, cpu_seconds double precision NOT NULL,
        cpu_seconds_before double precision NOT NULL, io_bytes bigint NOT NULL,
        io_bytes_before bigint NOT NULL, memory_peak_bytes bigint, pids_peak bigint,
        PRIMARY KEY (host, id, day)) PARTITION BY RANGE (day);
      CREATE FUNCTION make_fleet_day(one date) RETURNS void LANGUAGE sql AS 'SELECT';
      CREATE PROCEDURE keep_fleet_days(ahead integer, back integer) LANGUAGE sql AS 'SELECT';
      CREATE FUNCTION account_cgroups(from_host text, ids text[], measured double precision[],
        created double precision[], paths text[], customers text[], cpu double precision[],
        io bigint[], memory_peaks bigint[], pids_peaks bigint[]) RETURNS void
        LANGUAGE sql SECURITY DEFINER AS 'SELECT';
      CREATE VIEW fleet_customer_days AS SELECT day, customer, count(*) AS cgroups FROM fleet_usage
        GROUP BY 1, 2;
      CREATE VIEW fleet_host_days AS SELECT day, cpu_seconds_before FROM fleet_usage;
      CREATE TABLE fleet_usage_${new Date(noon(-1)).toISOString().slice(0, 10).replaceAll("-", "")}
        PARTITION OF fleet_usage
        FOR VALUES FROM ('${new Date(noon(-1)).toISOString()}') TO ('${new Date(noon(0)).toISOString()}');
      INSERT INTO fleet_usage VALUES ('${new Date(noon(-1)).toISOString()}', 'a', 'boot:1', '/x',
        'foo', 2, 0, 5, 0, NULL, NULL), ('${new Date(noon(-1)).toISOString()}', 'a', 'boot:2',
        '/x', 'foo', 110, 100, 7, 0, NULL, NULL)`);
    await client.query(example("fleet.sql"));
    await client.query(example("fleet.sql"));
    await client.query(
      `SELECT account_cgroups('a', '{boot:1}', '{${noon(0) / 1000}}', NULL, '{/x}', '{foo}', '{3}',
        '{6}', NULL, NULL)`,
    );
    // Of the second cgroup, 100 s were counted on days that have been dropped.
    expect(await bill()).toEqual([
      { ago: 1, cpu_seconds: 12 },
      { ago: 0, cpu_seconds: 1 },
    ]);
  });
});
