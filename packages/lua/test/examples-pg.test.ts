/** The scripts of examples/accounting that write to PostgreSQL, with a real server. */
import { hostname } from "node:os";
import { missing, Postgres } from "@cm4all/testing";
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { ExampleRoot, example } from "./examples.ts";

describe.skipIf(missing("postgres") !== undefined)("examples with PostgreSQL:", () => {
  let root: ExampleRoot;
  let server: Postgres;
  let client: Client;

  const query = async (sql: string) => (await client.query(sql)).rows;

  /** Returns noon, in UTC, of the day that is `day` days after today. */
  const noon = (day: number) => {
    const today = new Date();
    return Date.UTC(today.getUTCFullYear(), today.getUTCMonth(), today.getUTCDate() + day, 12);
  };

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

  /** Makes the tables of an example, twice, because its file may be run again; empties them. */
  async function prepare(name: string, tables: string): Promise<void> {
    await client.query(example(name));
    await client.query(example(name));
    await client.query(`TRUNCATE ${tables}`);
  }

  describe("postgres.lua", () => {
    beforeEach(() => prepare("postgres.sql", "cgroup_usage"));

    it("has one row for each cgroup and day, with the highest figures", async () => {
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
      await root.runLists("postgres.lua", [
        [known, { path: "/a.scope/y", id: "boot:2" }],
        [known],
        [{ ...known, report: 2, cpuTotalUsec: 2_500_000 }],
        [known],
      ]);
      const rows = await query("SELECT * FROM cgroup_usage ORDER BY id");
      expect(rows).toEqual([
        {
          host: hostname(),
          id: "boot:1",
          path: "/a.scope/x",
          report: 2,
          day: expect.any(Date),
          measured: new Date(2_000_000),
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

    it("has the usage of each day on the bill of that day", async () => {
      const at = (day: number, seconds: number, ioReadBytes?: number) => ({
        path: "/a.scope/x",
        id: "boot:1",
        measuredMs: noon(day),
        cpuTotalUsec: seconds * 1e6,
        ...(ioReadBytes === undefined ? {} : { ioReadBytes }),
      });
      const running = (...told: Parameters<typeof at>) => ({ ...at(...told), isRunning: true });
      await root.run("postgres.lua", [running(-5, 3, 10), running(-5, 4, 10), running(-3, 10, 50)]);
      await root.run("postgres.lua", [at(-2, 10.5), { ...at(-2, 7), id: "boot:2" }]);
      // This report is late, and arrives for the second time.
      await root.run("postgres.lua", [running(-5, 3, 10)]);
      expect(
        await query(
          `SELECT (now() AT TIME ZONE 'UTC')::date - day AS ago, id, cpu_seconds, io_read_bytes
           FROM cgroup_day ORDER BY day, id`,
        ),
      ).toEqual([
        { ago: 5, id: "boot:1", cpu_seconds: 4, io_read_bytes: "10" },
        { ago: 3, id: "boot:1", cpu_seconds: 6, io_read_bytes: "40" },
        { ago: 2, id: "boot:1", cpu_seconds: 0.5, io_read_bytes: null },
        { ago: 2, id: "boot:2", cpu_seconds: 7, io_read_bytes: null },
      ]);
    });

    it("keeps the rows of an older table, which had one row for each cgroup", async () => {
      await client.query(`DROP TABLE cgroup_usage CASCADE;
        CREATE TABLE cgroup_usage (host text, id text, path text NOT NULL, report integer NOT NULL,
          reported timestamptz NOT NULL, age_seconds double precision, cpu_seconds double precision,
          cpu_user_seconds double precision, cpu_system_seconds double precision,
          memory_peak_bytes bigint, oom_kills bigint, pids_peak bigint, io_read_bytes bigint,
          io_write_bytes bigint, PRIMARY KEY (host, id));
        INSERT INTO cgroup_usage (host, id, path, report, reported, cpu_seconds)
          VALUES ('${hostname()}', 'boot:1', '/x', 1, '2026-01-30 23:59Z', 2)`);
      await client.query(example("postgres.sql"));
      await root.run("postgres.lua", [
        { id: "boot:1", measuredMs: Date.parse("2026-01-31T00:01Z"), cpuTotalUsec: 3e6 },
      ]);
      expect(await query("SELECT day::text, cpu_seconds FROM cgroup_day ORDER BY day")).toEqual([
        { day: "2026-01-30", cpu_seconds: 2 },
        { day: "2026-01-31", cpu_seconds: 1 },
      ]);
    });

    it("accepts any name", async () => {
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
        measuredMs: Date.now(),
      };
      const second = { ...first, id: "boot:2", ioWriteBytes: 5, memoryPeakBytes: 500 };
      const path = root.make("/customers/b", "bar");
      const other = { path, id: "boot:3", cpuTotalUsec: 1, measuredMs: Date.now() };
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
          FROM customer_usage WHERE day = (now() AT TIME ZONE 'UTC')::date ORDER BY customer`),
      ).toEqual([
        { customer: "bar", cpu_seconds: 0.000001, io_bytes: "0", memory_peak_bytes: null },
        { customer: "foo", cpu_seconds: 5, io_bytes: "35", memory_peak_bytes: "1000" },
      ]);
    });

    it("counts a report once, even if it comes again before the first one is stored", async () => {
      const path = root.make("/customers/a", "foo");
      const told = (id: string, cpuSeconds: number, ioReadBytes: number) =>
        root.run("customers.lua", [
          { path, id, measuredMs: noon(0), cpuTotalUsec: cpuSeconds * 1e6, ioReadBytes },
        ]);
      await told("boot:1", 1, 1);
      await client.query("BEGIN; UPDATE customer_usage SET day = day");
      const reports = [];
      for (const [waiting, cpuSeconds] of [100, 100, 120].entries()) {
        reports.push(told("boot:2", cpuSeconds, cpuSeconds));
        await vi.waitUntil(
          async () => (await query("SELECT FROM pg_locks WHERE NOT granted")).length > waiting,
          20_000,
        );
      }
      await client.query("COMMIT");
      await Promise.all(reports);
      expect(await query("SELECT cpu_seconds, io_bytes FROM customer_usage")).toEqual([
        { cpu_seconds: 121, io_bytes: "121" },
      ]);
    });

    it("adds columns to the table of an earlier version", async () => {
      await client.query(`DROP TABLE customer_cgroup;
        CREATE TABLE customer_cgroup (host text, id text, reported date NOT NULL,
          cpu_seconds double precision NOT NULL, io_bytes bigint NOT NULL, PRIMARY KEY (host, id));
        INSERT INTO customer_cgroup VALUES ('${hostname()}', 'boot:1', '2026-01-30', 2, 3)`);
      await client.query(example("customers.sql"));
      const path = root.make("/customers/a", "foo");
      await root.run("customers.lua", [{ path, id: "boot:1", cpuTotalUsec: 5e6, ioReadBytes: 4 }]);
      expect(await query("SELECT cpu_seconds, io_bytes FROM customer_usage")).toEqual([
        { cpu_seconds: 3, io_bytes: "1" },
      ]);
    });

    it("counts the usage of running cgroups on the day of the measurement (UTC)", async () => {
      // On Kiritimati, the date differs from that in UTC for most of the day.
      await query("ALTER DATABASE accounting SET TimeZone = 'Pacific/Kiritimati'");
      onTestFinished(async () => {
        await query("ALTER DATABASE accounting RESET TimeZone");
      });
      const path = root.make("/customers/a", "foo");
      const told = (day: string, cpuSeconds: number, isRunning = true) => ({
        path,
        id: "boot:1",
        measuredMs: Date.parse(`2026-03-${day}T12:00:00Z`),
        cpuTotalUsec: cpuSeconds * 1e6,
        isRunning,
      });
      await root.run("customers.lua", [
        told("01", 10),
        told("01", 30),
        told("02", 35),
        told("01", 30),
        told("04", 50, false),
        told("04", 50, false),
      ]);
      expect(
        await query(`SELECT to_char(day, 'DD') AS day, cpu_seconds FROM customer_usage
          WHERE cpu_seconds > 0 ORDER BY day`),
      ).toEqual([
        { day: "01", cpu_seconds: 30 },
        { day: "02", cpu_seconds: 5 },
        { day: "04", cpu_seconds: 15 },
      ]);
    });

    it.each([
      ["control characters", "a\n\0\x7f\\", "a\\x0a\\x00\\x7f\\"],
      ["letters", "M\xc3\xbcller", "Müller"],
      [
        "the limits of UTF-8",
        "\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
        "\u{a0}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}",
      ],
      ["bytes that are not UTF-8", "\xc3\xbc\xff\xc3\xbc", "ü\\xffü"],
      ["a stray byte", "a\x80", "a\\x80"],
      ["overlong sequences", "\xc0\x80\xe0\x9f\xbf", "\\xc0\\x80\\xe0\\x9f\\xbf"],
      ["a surrogate", "\xed\xa0\x80", "\\xed\\xa0\\x80"],
      ["a code point beyond Unicode", "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"],
      ["an incomplete sequence", "\xe2\x82a", "\\xe2\\x82a"],
    ])("accepts any name: %s", async (_, name, customer) => {
      const path = root.make("/customers/a", name);
      await root.run("customers.lua", [{ path, id: "boot:1", cpuTotalUsec: 1e6 }]);
      expect(await query("SELECT customer FROM customer_usage")).toEqual([{ customer }]);
    });
  });
});
