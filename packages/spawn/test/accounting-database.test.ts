/** Cgroups, the daemon, a script and PostgreSQL: nothing is lost. */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { missing, Postgres } from "@cm4all/testing";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { kill, until } from "./support/daemon.ts";

const needs = missing("root", "catatonit", "cgroup2", "postgres");

describe.skipIf(needs !== undefined)("accounting into PostgreSQL", () => {
  let server: Postgres;
  let host: AccountingHost;

  /** Runs SQL and gives the first column. */
  async function query(sql: string): Promise<string[]> {
    const { host, port, user } = server;
    const client = new pg.Client({ host, port, user, database: "postgres" });
    await client.connect();
    try {
      const { rows } = await client.query({ text: sql, rowMode: "array" });
      return rows.map(([value]) => String(value));
    } finally {
      await client.end();
    }
  }

  /** A script that accounts as the examples do. */
  const script = () => `
    local db = pg:new(${JSON.stringify(server.conninfo)})
    function cgroup_released(cgroup)
      assert(db:execute([[
        INSERT INTO usage (id, path, report, cpu, attempts) VALUES ($1, convert_to($2, 'UTF8'), $3, $4, 1)
        ON CONFLICT (id) DO UPDATE SET report = excluded.report, cpu = excluded.cpu,
          attempts = usage.attempts + 1]],
        {cgroup.id, cgroup.path, cgroup.report, cgroup.cpu_total}))
    end`;

  beforeAll(async () => {
    server = await Postgres.start();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    host = new AccountingHost();
    await query("DROP TABLE IF EXISTS usage");
    await query(
      "CREATE TABLE usage (id text PRIMARY KEY, path bytea, report int, cpu float8, attempts int)",
    );
  });
  afterEach(() => host.stop());

  /** Has several processes come and go in cgroups of their own. */
  async function runJobs(count: number, pauseMs = 20): Promise<void> {
    await Promise.all(
      Array.from({ length: 5 }, async (_, worker) => {
        for (let i = worker; i < count; i += 5) {
          await host.scratch.runToEnd(`a.scope/g${i % 7}-${Math.floor(i / 50)}/c${i}`);
          await sleep(pauseMs);
        }
      }),
    );
  }

  const isDone = () =>
    readdirSync(join(host.scratch.path, "a.scope")).every((name) => !/^g\d/.test(name));
  const accountedJobs = async () =>
    Number((await query("SELECT count(DISTINCT path) FROM usage WHERE path LIKE '%/c%'"))[0]);

  it("puts each cgroup into the table", async () => {
    host.writeScript(script());
    await host.start();
    await runJobs(50);
    await until(isDone, "all are deleted");
    expect(await accountedJobs()).toBe(50);
    // Each report comes once; one that waits can be replaced by the next.
    expect(await query("SELECT path FROM usage WHERE attempts > report")).toEqual([]);
  });

  it("loses nothing when the database is stopped, and crashes, under load", async () => {
    host.writeScript(script());
    await host.start("handler_seconds = 3\n");
    const work = runJobs(250);
    for (const mode of ["fast", "immediate"] as const) {
      await sleep(500);
      await server.pause(mode);
      await sleep(1500);
      await server.resume();
    }
    await work;
    await until(isDone, "all are deleted", 50_000);
    expect(await accountedJobs()).toBe(250);
    expect(await host.accounting()).toMatchObject({ lostCgroups: 0, waitingCgroups: 0 });
    expect((await host.reaping()).reaper).toMatchObject({ vanishedCgroups: 0, missedChanges: 0 });
  });

  it("loses nothing when the daemon is killed at random moments", async () => {
    host.writeScript(script());
    let isWorking = true;
    const work = runJobs(250).finally(() => {
      isWorking = false;
    });
    let kills = 0;
    while (isWorking) {
      await host.start();
      await sleep(300 + Math.random() * 700);
      await host.crash();
      kills++;
    }
    await work;
    await host.start();
    await until(isDone, "all are deleted", 30_000);
    expect(kills).toBeGreaterThan(1);
    expect(await accountedJobs()).toBe(250);
  });

  it("loses nothing when the script host is killed under load", async () => {
    host.writeScript(script());
    await host.start();
    await host.untilReady();
    const work = runJobs(150);
    for (let i = 0; i < 3; i++) {
      await sleep(400);
      await host.untilReady();
      kill(host.scriptHostPid);
    }
    await work;
    await until(isDone, "all are deleted", 30_000);
    expect(await accountedJobs()).toBe(150);
    expect(await host.accounting()).toMatchObject({ lostCgroups: 0 });
  });

  it("takes hostile names through log, Lua and SQL", async () => {
    const names = [
      "'; DROP TABLE usage; --",
      '"\\$1 %s %n',
      "a\tb\x1b[31m: cpu=9.9s",
      "x".repeat(255),
      "\xc3\xa4\xe2\x82\xac",
    ];
    // What is no UTF-8 is not for a column of text, but for one of bytes.
    const bytes = "\xff\xfe'";
    host.writeScript(`
      local db = pg:new(${JSON.stringify(server.conninfo)})
      function cgroup_released(cgroup)
        assert(db:execute("INSERT INTO usage (id, path) VALUES ($1, $2)",
          {cgroup.id, "\\\\x" .. sodium_hex(cgroup.path)}))
        if not cgroup.path:find("\\255", 1, true) then
          assert(db:execute("UPDATE usage SET path = convert_to($2, 'UTF8') WHERE id = $1",
            {cgroup.id, cgroup.path}))
        end
      end
      function sodium_hex(s)
        return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
      end`);
    for (const name of [...names, bytes])
      mkdirSync(Buffer.from(`${host.scratch.path}/a.scope/${name}`, "latin1"));
    await host.start();
    await until(
      async () => (await host.reaping()).reaper?.deletedCgroups === names.length + 1,
      "all are deleted",
    );
    const stored = (await query("SELECT encode(path, 'hex') FROM usage")).map((hex) =>
      Buffer.from(hex, "hex").toString("latin1"),
    );
    expect(stored.sort()).toEqual([...names, bytes].map((name) => `/a.scope/${name}`).sort());
    const logged = host.daemon.log.split("\n").filter((line) => line.includes(": cpu="));
    expect(logged).toHaveLength(names.length + 1);
    expect(host.daemon.log).toContain(" a\\x09b\\x1b[31m: cpu=9.9s: cpu=0.0s/");
    expect(host.daemon.log).toContain(" ä€: cpu=");
  });
});
