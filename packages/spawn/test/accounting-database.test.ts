/** Runs the daemon, a script, PostgreSQL and processes in cgroups together: nothing may be lost. */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isErrno } from "@cm4all/linux";
import { missing, Postgres } from "@cm4all/testing";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { kill, until } from "./support/daemon.ts";
import { RunsProgram } from "./support/runs.ts";
import { countJobs, makeUsageTable, queryColumn, usageScript } from "./support/usage-table.ts";

const needs = missing("root", "catatonit", "cgroup2", "postgres", "gcc");

/**
 * With `TORTURE=all`, cgroups are created for half a minute at 400 a second. Sessions are cut
 * during that time and, if necessary, after it, until `LOAD.cuts` of them have been cut.
 */
const isTorture = process.env["TORTURE"] === "all";
const LOAD = isTorture ? { count: 12_000, cuts: 77 } : { count: 800, cuts: 5 };

/** The time limit after an outage, during which the pauses between calls grow to half a minute. */
const OUTAGE_MS = 60_000;

/** Sends a signal to a process, unless the process has ended. */
function tryKill(pid: number, signal: NodeJS.Signals): void {
  try {
    kill(pid, signal);
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
  }
}

describe.skipIf(needs !== undefined)("accounting into PostgreSQL", () => {
  let server: Postgres;
  let host: AccountingHost;

  const query = (sql: string) => queryColumn(server, sql);
  const script = () => usageScript(server);

  beforeAll(async () => {
    // Without this setting, a crash of the server would lose commits that it has confirmed.
    server = await Postgres.start({ settings: { synchronous_commit: "on" } });
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    host = new AccountingHost();
    await makeUsageTable(server);
    await query("DROP TABLE IF EXISTS plain");
    await query("CREATE TABLE plain (path text, cpu float8)");
  });
  afterEach(() => host.stop());

  /** Runs processes, each in a cgroup of its own. */
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

  const isDeleted = () =>
    readdirSync(join(host.scratch.path, "a.scope")).every((name) => !/^g\d/.test(name));

  /** Waits until all cgroups are deleted, no record waits, and the script is ready. */
  async function untilDone(timeoutMs?: number): Promise<void> {
    await until(isDeleted, "all are deleted", timeoutMs);
    await until(
      async () => {
        const { waitingCgroups, script } = await host.accounting();
        return waitingCgroups === 0 && script === "ready";
      },
      "none waits",
      timeoutMs,
    );
  }
  const accountedJobs = () => countJobs(server);

  it("puts each cgroup into the table", async () => {
    host.writeScript(script());
    await host.start();
    await runJobs(50);
    await untilDone();
    expect(await accountedJobs()).toBe(50);
    // No report is inserted twice. A report that waits may be replaced by the next one: then there
    // are fewer attempts than reports.
    expect(await query("SELECT path FROM usage WHERE attempts > report")).toEqual([]);
  });

  it("loses nothing when the database is stopped or crashes under load", async () => {
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
    await untilDone(50_000);
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
    await untilDone(30_000);
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
    await untilDone(30_000);
    expect(await accountedJobs()).toBe(150);
    expect(await host.accounting()).toMatchObject({ lostCgroups: 0 });
  });

  it("loses none of 400 cgroups a second when sessions are cut or hang, and script hosts are killed", {
    timeout: 60_000 + LOAD.count * 40,
  }, async () => {
    using program = new RunsProgram();
    host.writeScript(script());
    await host.start("handler_seconds = 3\n");
    await host.untilReady();
    const base = `${host.scratch.path}/a.scope`;
    const runs = program.start({ mode: "leave", base, prefix: "c", count: LOAD.count, rate: 400 });
    const others = "FROM pg_stat_activity WHERE usename IS NOT NULL AND pid <> pg_backend_pid()";
    let cuts = 0;
    for (let round = 0; cuts < LOAD.cuts || runs.isRunning; round++) {
      cuts += Number((await query(`SELECT count(pg_terminate_backend(pid)) ${others}`))[0]);
      await sleep(200);
      const sessions = (await query(`SELECT pid ${others}`)).map(Number);
      if (round % 5 === 1) {
        for (const pid of sessions) tryKill(pid, "SIGSTOP");
        await sleep(1000);
        for (const pid of sessions) tryKill(pid, "SIGCONT");
      }
      if (round % 10 === 4 && host.scriptHostPids[0] !== undefined)
        tryKill(host.scriptHostPids[0], "SIGKILL");
      if (round % 20 === 10) {
        await server.pause(round % 40 === 10 ? "fast" : "immediate");
        await sleep(1000);
        await server.resume();
      }
    }
    await runs.end();
    await until(async () => (await host.accounting()).waitingCgroups === 0, "none waits", 120_000);
    await until(async () => (await accountedJobs()) === LOAD.count, "all are there", 30_000);
    console.log(`${LOAD.count} cgroups, ${cuts} sessions cut`);
    expect(await host.accounting()).toMatchObject({ lostCgroups: 0 });
    expect((await host.reaping()).reaper).toMatchObject({ missedChanges: 0 });
  });

  /**
   * Returns a script like those for the original daemon, which expect neither a second call for a
   * cgroup nor a second report.
   */
  const plainScript = (before = "", after = "") => `
    local db = pg:new(${JSON.stringify(server.conninfo)})
    function cgroup_released(cgroup)
      ${before}
      assert(db:execute("INSERT INTO plain (path, cpu) VALUES ($1, $2)", {cgroup.path, cgroup.cpu_total}))
      ${after}
    end`;

  async function plainRows(): Promise<{ count: number; cpu: number }> {
    const [row = ""] = await query("SELECT count(*) || ' ' || coalesce(sum(cpu), 0) FROM plain");
    const [count, cpu] = row.split(" ").map(Number);
    return { count: count ?? 0, cpu: cpu ?? 0 };
  }

  /** A shell command that uses CPU time. */
  const BUSY = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done";

  it("books the same sums with a plain INSERT as the original daemon, even if the database is slow and a cgroup's name is reused", async () => {
    host.writeScript(plainScript('assert(db:execute("SELECT pg_sleep(1)"))'));
    await host.start();
    await host.untilReady();
    for (let i = 0; i < 5; i++) {
      await host.scratch.runToEnd("a.scope/same", BUSY);
      await host.untilDeleted("a.scope/same");
    }
    await untilDone();
    const { count, cpu } = await plainRows();
    expect(count).toBe(5);
    // These are not the figures of the log, which has two lines for a cgroup whose last moments the
    // kernel has charged late.
    const used = Object.values((await host.reaping()).reaper?.scopeCpuSeconds ?? {});
    expect(used).toHaveLength(1);
    expect(cpu).toBeGreaterThan(0);
    expect(cpu).toBeCloseTo(used[0] ?? 0, 5);
  });

  it("does not book again what a plain script inserted before its handler failed", async () => {
    host.writeScript(plainScript("", 'error("afterwards")'));
    await host.start();
    await host.scratch.runToEnd("a.scope/one");
    await until(async () => (await host.accounting()).parkedCgroups === 1, "it is parked");
    await sleep(3000);
    expect((await plainRows()).count).toBe(1);
  });

  it(
    "lets no query of a handler that was given up take effect, whether the query was sent or queued",
    async () => {
      // Only the first call for each cgroup inserts a row. A call that is given up must leave none.
      host.writeScript(`
      local db = pg:new(${JSON.stringify(server.conninfo)})
      local tries = {}
      function cgroup_released(cgroup)
        tries[cgroup.path] = (tries[cgroup.path] or 0) + 1
        if tries[cgroup.path] > 1 then return end
        assert(db:execute("INSERT INTO plain (path, cpu) VALUES ($1, $2)", {cgroup.path, cgroup.cpu_total}))
      end`);
      await host.start("handler_seconds = 1\n");
      await host.untilReady();
      const { host: address, port, user } = server;
      const locker = new pg.Client({ host: address, port, user, database: "postgres" });
      await locker.connect();
      try {
        await locker.query("BEGIN; LOCK TABLE plain IN ACCESS EXCLUSIVE MODE");
        const given = Array.from({ length: 5 }, (_, i) => `a.scope/given-up-${i}`);
        await Promise.all(given.map((name) => host.scratch.runToEnd(name)));
        await until(async () => (await host.accounting()).failedHandlers >= 5, "all are given up");
      } finally {
        await locker.end();
      }
      // This may take long: if the handlers failed at different times, the pauses before new calls
      // have grown.
      await until(
        async () => (await host.accounting()).accountedCgroups === 5,
        "all are accounted",
        OUTAGE_MS,
      );
      // The query for `last` uses the same session, after all queries that were still queued.
      await host.scratch.runToEnd("a.scope/last");
      await until(async () => (await plainRows()).count > 0, "a later one is inserted");
      await untilDone();
      expect(await query("SELECT path FROM plain")).toEqual(["/a.scope/last"]);
      expect(await host.accounting()).toMatchObject({ parkedCgroups: 0, accountedCgroups: 6 });
    },
    2 * OUTAGE_MS,
  );

  it("books nothing twice and loses nothing with a plain script when the daemon is killed", async () => {
    // Most kills come after the row was inserted, and before the handler has returned.
    host.writeScript(plainScript("", 'assert(db:execute("SELECT pg_sleep(0.01)"))'));
    let isWorking = true;
    const work = runJobs(250).finally(() => {
      isWorking = false;
    });
    while (isWorking) {
      await host.start();
      await until(
        async () => !isWorking || (await host.accounting()).begunCgroups > 0,
        "handlers run",
      );
      await sleep(Math.random() * 300);
      await host.crash();
    }
    await work;
    await host.start();
    await untilDone(30_000);
    const { parkedCgroups } = await host.accounting();
    const twice = await query("SELECT path FROM plain GROUP BY path HAVING count(*) > 1");
    // The names of the jobs' parents are used again; those of the jobs' own cgroups are not.
    expect(twice.filter((path) => path.includes("/c"))).toEqual([]);
    const booked = Number((await query("SELECT count(*) FROM plain WHERE path LIKE '%/c%'"))[0]);
    expect(booked).toBeLessThanOrEqual(250);
    expect(booked + parkedCgroups).toBeGreaterThanOrEqual(250);
  });

  it("accounts the backlog after the database was down", async () => {
    host.writeScript(script());
    await host.start();
    await host.untilReady();
    await server.pause("fast");
    await runJobs(200, 0);
    await until(isDeleted, "all are deleted");
    expect((await host.accounting()).waitingCgroups).toBeGreaterThanOrEqual(200);
    await host.crash();
    await host.start();
    await server.resume();
    await untilDone(60_000);
    expect(await accountedJobs()).toBe(200);
    expect(await host.accounting()).toMatchObject({ lostCgroups: 0, parkedCgroups: 0 });
  });

  it("passes hostile names safely through the log, Lua and SQL", async () => {
    const names = [
      "'; DROP TABLE usage; --",
      '"\\$1 %s %n',
      "a\tb\x1b[31m: cpu=9.9s",
      "x".repeat(255),
      "\xc3\xa4\xe2\x82\xac",
    ];
    // Bytes that are not UTF-8 need a column of type bytea.
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
      async () => (await host.accounting()).accountedCgroups === names.length + 1,
      "all are accounted",
    );
    const stored = (await query("SELECT encode(path, 'hex') FROM usage")).map((hex) =>
      Buffer.from(hex, "hex").toString("latin1"),
    );
    expect(stored.sort()).toEqual([...names, bytes].map((name) => `/a.scope/${name}`).sort());
    const logged = () => host.daemon.log.split("\n").filter((line) => line.includes(": cpu="));
    await until(() => logged().length === names.length + 1, "all are logged");
    expect(host.daemon.log).toContain(" a\\x09b\\x1b[31m: cpu=9.9s: cpu=0.0s/");
    expect(host.daemon.log).toContain(" ä€: cpu=");
  });
});
