/** The effects of runs in the database, and what is reported about them. */
import { setTimeout as sleep } from "node:timers/promises";
import { bytesOfText } from "@cm4all/linux";
import { missing, Postgres } from "@cm4all/testing";
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openPg } from "../src/pg/library.ts";
import { PgProxy } from "./pg-proxy.ts";
import { type Options, TestScript } from "./script.ts";

describe.skipIf(missing("postgres") !== undefined)("effects in PostgreSQL:", () => {
  let server: Postgres;
  let observer: Client;
  beforeAll(async () => {
    server = await Postgres.start({ tcp: true, settings: { synchronous_commit: "on" } });
    const { host, port, user } = server;
    observer = new Client({ host, port, user, database: "postgres" });
    await observer.connect();
    await observer.query(`CREATE TABLE usage (n int, CHECK (n < 100));
      CREATE TABLE once (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)`);
  });
  afterAll(async () => {
    await observer?.end();
    await server?.stop();
  });
  beforeEach(async () => {
    await observer.query("TRUNCATE usage, once");
  });

  /** Loads a script whose handler has this body. */
  function script(body: string, options: Options = {}, conninfo = server.conninfo): TestScript {
    const code = `db = pg:new([[${conninfo}]])
      function value(sql) return assert(db:execute(sql)):fetch({}, 'n')[1] end
      function cgroup_released(c) ${body}\nend`;
    return new TestScript(code, { open: openPg, ...options });
  }

  async function rows(): Promise<number[]> {
    const { rows: found } = await observer.query("SELECT n FROM usage ORDER BY n");
    return found.map(({ n }) => n);
  }

  /** Returns the outcome of a run whose handler has this body, and the rows that it leaves. */
  async function after(body: string, options: Options = {}, conninfo?: string) {
    using running = script(body, options, conninfo);
    const outcome = await running.outcome();
    return { effect: outcome?.effect, cause: outcome?.cause, rows: await rows() };
  }

  describe("a statement", () => {
    it("that succeeded has taken effect", async () => {
      for (const sql of ["INSERT INTO usage VALUES (1)", "SELECT 1", "NOTIFY somebody"])
        expect(await after(`assert(db:execute('${sql}')) error('x')`)).toMatchObject({
          effect: "taken",
          cause: "script",
        });
      expect(await rows()).toEqual([1]);
    });

    it("that the server refused, immediately or at its commit, has no effect", async () => {
      const none = { effect: "none", cause: "script", rows: [] };
      expect(await after("assert(db:execute('INSERT INTO usage VALUES (100)'))")).toEqual(none);
      expect(await after("assert(db:execute('INSERT INTO usage VALUES ($1)', {100}))")).toEqual(
        none,
      );
      expect(
        await after("assert(db:execute('INSERT INTO once SELECT 1 FROM generate_series(1, 2)'))"),
      ).toEqual(none);
      expect(
        await after("assert(db:execute('INSERT INTO usage VALUES (1); SELECT 1 / 0'))"),
      ).toEqual(none);
      expect(await after("assert(db:execute('SET work_mem = 1024')) error('x')")).toEqual(none);
    });

    it("that committed parts of itself before it failed may have taken effect", async () => {
      expect(
        await after(
          "assert(db:execute('BEGIN; INSERT INTO usage VALUES (1); COMMIT; SELECT 1 / 0'))",
        ),
      ).toEqual({ effect: "taken", cause: "script", rows: [1] });
      expect(
        await after(
          "assert(db:execute('DO $$ BEGIN INSERT INTO usage VALUES (2); COMMIT; PERFORM 1 / 0; END $$'))",
        ),
      ).toEqual({ effect: "unanswered", cause: "script", rows: [1, 2] });
    });

    it("that was not sent because there was no session has no effect", async () => {
      expect(await after("assert(db:execute('SELECT 1'))", {}, "host=/nonexistent")).toMatchObject({
        effect: "none",
        cause: "connection",
      });
      // This server never answers.
      await using deaf = await PgProxy.start(server);
      deaf.isDeaf = true;
      expect(
        await after("db:execute('SELECT 1')", { handlerTimeoutMs: 300 }, deaf.conninfo),
      ).toMatchObject({ effect: "none", cause: "connection" });
      // The server answered the last statement, so the connection is not the cause of this failure.
      expect(
        await after(
          `pg:new('host=/nonexistent'):execute('SELECT 1')
           db:execute('INSERT INTO usage VALUES (100)') error('x')`,
        ),
      ).toMatchObject({ effect: "none", cause: "script" });
    });

    it("whose session is terminated has no effect, as the server's message shows", async () => {
      expect(
        await after(
          `assert(db:execute("INSERT INTO usage SELECT 1 FROM pg_terminate_backend(pg_backend_pid())"))`,
        ),
      ).toEqual({ effect: "none", cause: "connection", rows: [] });
    });

    it("is unanswered if its session is cut anywhere before the end of the answer", async () => {
      await using proxy = await PgProxy.start(server);
      const insert = "assert(db:execute('INSERT INTO usage VALUES (7)')) error('x')";
      // CommandComplete "INSERT 0 1" has 16 bytes, ReadyForQuery 6.
      for (const bytes of [-1, 0, 1, 15, 16, 21]) {
        await observer.query("TRUNCATE usage");
        proxy.cutAt("INSERT", bytes);
        const { effect, cause } = await after(insert, {}, proxy.conninfo);
        expect({ bytes, effect, cause }).toEqual({
          bytes,
          effect: "unanswered",
          cause: "connection",
        });
      }
      proxy.cutAt("INSERT", 22);
      expect(await after(insert, {}, proxy.conninfo)).toMatchObject({ effect: "taken" });
    });
  });

  describe("db:transaction", () => {
    const failing = (inside: string) =>
      `assert(db:transaction(function(tx) ${inside} end)) error('x')`;
    const INSERT = "assert(tx:execute('INSERT INTO usage VALUES (1)'))";

    it("has no effect if it is rolled back", async () => {
      const none = { effect: "none", cause: "script", rows: [] };
      expect(await after(failing(`${INSERT} error('inside')`))).toEqual(none);
      expect(await after(failing(`${INSERT} tx:execute('broken')`))).toEqual(none);
      expect(
        await after(
          failing("assert(tx:execute('INSERT INTO once SELECT 1 FROM generate_series(1, 2)'))"),
        ),
      ).toEqual(none);
      expect(
        await after(failing(`${INSERT} tx:execute('NOTIFY x') coroutine.yield()`), {
          handlerTimeoutMs: 300,
        }),
      ).toEqual(none);
    });

    it("has taken effect if it is committed", async () => {
      expect(await after(failing(INSERT))).toEqual({ effect: "taken", cause: "script", rows: [1] });
    });

    it("has no effect if its session ends before COMMIT", async () => {
      expect(
        await after(
          failing(`${INSERT} assert(tx:execute('SELECT pg_terminate_backend(pg_backend_pid())'))`),
        ),
      ).toEqual({ effect: "none", cause: "connection", rows: [] });
      await using proxy = await PgProxy.start(server);
      proxy.cutAt("INSERT", 3);
      expect(await after(failing(INSERT), {}, proxy.conninfo)).toEqual({
        effect: "none",
        cause: "connection",
        rows: [],
      });
    });

    it("is unanswered if the answer to COMMIT does not arrive", async () => {
      await using proxy = await PgProxy.start(server);
      // CommandComplete "COMMIT" has 12 bytes, ReadyForQuery 6.
      for (const bytes of [-1, 0, 6, 12, 17]) {
        await observer.query("TRUNCATE usage");
        proxy.cutAt("COMMIT", bytes);
        const { effect, cause } = await after(failing(INSERT), {}, proxy.conninfo);
        expect({ bytes, effect, cause }).toEqual({
          bytes,
          effect: "unanswered",
          cause: "connection",
        });
      }
      proxy.cutAt("COMMIT", 18);
      expect(await after(failing(INSERT), {}, proxy.conninfo)).toMatchObject({ effect: "taken" });
    });

    it("cannot be begun inside a transaction that was begun by hand", async () => {
      expect(
        await after(`db:execute('BEGIN') db:execute('INSERT INTO usage VALUES (1)')
          assert(db:transaction(function() end))`),
      ).toEqual({ effect: "none", cause: "script", rows: [] });
    });
  });

  describe("a transaction that was begun by hand", () => {
    it("belongs to its run: other runs wait", async () => {
      using running = script(`
        if c.report == 1 then
          db:execute('BEGIN')
          db:execute('INSERT INTO usage VALUES (1)')
          db:execute('SELECT pg_sleep(0.1)')
          db:execute('ROLLBACK')
        elseif c.report == 2 then
          assert(db:execute('INSERT INTO usage VALUES (2)'))
        else
          assert(db:transaction(function(tx) tx:execute('INSERT INTO usage VALUES (3)') end))
        end`);
      const outcomes = await Promise.all([1, 2, 3].map((report) => running.outcome({ report })));
      expect(outcomes).toEqual([undefined, undefined, undefined]);
      expect(await rows()).toEqual([2, 3]);
    });

    it("is rolled back if its run ends in it, and the run fails", async () => {
      using running = script(`
        if c.report == 1 then db:execute('BEGIN') db:execute('INSERT INTO usage VALUES (1)') return end
        assert(db:execute('INSERT INTO usage VALUES (2)'))`);
      const [first, second] = await Promise.all(
        [1, 2].map((report) => running.outcome({ report })),
      );
      expect(first).toMatchObject({
        message:
          "the handler of /system.slice/test.scope/a ended inside a transaction: rolled back",
        effect: "none",
      });
      expect(second).toBeUndefined();
      expect(await rows()).toEqual([2]);
    });

    it("does not hide that its handler raised an error or took too long", async () => {
      const open = "db:execute('BEGIN') db:execute('INSERT INTO usage VALUES (1)')";
      using running = script(
        `${open} if c.report == 1 then error('mine', 0) end coroutine.yield()`,
        { handlerTimeoutMs: 300 },
      );
      expect(await running.outcome({ report: 1 })).toMatchObject({
        message: "mine",
        effect: "none",
      });
      expect(await running.outcome({ report: 2 })).toMatchObject({
        message: expect.stringMatching(/did not end within/),
        effect: "none",
      });
      expect(await rows()).toEqual([]);
    });

    it("takes effect with COMMIT, whose answer may be lost", async () => {
      const commit = `db:execute('BEGIN') db:execute('INSERT INTO usage VALUES (1)')
        assert(db:execute('COMMIT')) error('x')`;
      expect(await after(commit)).toEqual({ effect: "taken", cause: "script", rows: [1] });
      await using proxy = await PgProxy.start(server);
      proxy.cutAt("COMMIT", 0);
      expect(await after(commit, {}, proxy.conninfo)).toMatchObject({ effect: "unanswered" });
    });

    it("does not continue in another session", async () => {
      expect(
        await after(`db:execute('BEGIN') db:execute('INSERT INTO usage VALUES (1)')
          db:execute('SELECT pg_terminate_backend(pg_backend_pid())')
          assert(db:execute('INSERT INTO usage VALUES (2)'))`),
      ).toEqual({ effect: "none", cause: "connection", rows: [] });
    });

    it("is not possible outside a handler", async () => {
      using running = new TestScript(
        `db = pg:new([[${server.conninfo}]])
         coroutine.wrap(function()
           print(db:execute('BEGIN')) print(db:execute('INSERT INTO usage VALUES (1)') ~= nil)
         end)()
         function cgroup_released() end`,
        { open: openPg },
      );
      await expect
        .poll(() => running.printed)
        .toBe("nil\ta transaction that was begun outside a handler: rolled back\n\ntrue\n");
      expect(await rows()).toEqual([1]);
    });
  });

  describe("when a handler takes too long,", () => {
    it("its statements end: the one that is being executed, and those that wait", async () => {
      using running = script(
        `if c.report == 1 then db:execute('INSERT INTO usage VALUES (1); SELECT pg_sleep(600)')
         elseif c.report == 2 then
           coroutine.wrap(function() db:execute('INSERT INTO usage VALUES (2)') end)()
           db:execute('INSERT INTO usage VALUES (3)')
         else print(value('SELECT pg_backend_pid()')) end`,
        { handlerTimeoutMs: 1000 },
      );
      const before = await running.handle({ report: 3 });
      const [first, second] = await Promise.all(
        [1, 2].map((report) => running.outcome({ report })),
      );
      expect(first).toMatchObject({ effect: "none", cause: "script" });
      expect(second).toMatchObject({ effect: "none" });
      // The session is the same as before, and free for other runs.
      expect(await running.handle({ report: 3 })).toBe(before);
      expect(await rows()).toEqual([]);
    });

    it("the statements that ended in time have taken effect", async () => {
      using running = script(
        `db:execute('INSERT INTO usage VALUES (1)') db:execute('SELECT pg_sleep(600)')`,
        { handlerTimeoutMs: 500 },
      );
      expect(await running.outcome()).toMatchObject({ effect: "taken" });
    });

    it("a session that does not answer is given up after 5 s", { timeout: 30_000 }, async () => {
      await using proxy = await PgProxy.start(server);
      using running = script(
        "db:execute('INSERT INTO usage VALUES ($1)', {c.report})",
        { handlerTimeoutMs: 500 },
        proxy.conninfo,
      );
      expect(await running.outcome({ report: 2 })).toBeUndefined();
      proxy.isDeaf = true;
      const startMs = performance.now();
      expect(await running.outcome({ report: 3 })).toMatchObject({ effect: "unanswered" });
      expect(performance.now() - startMs).toBeGreaterThan(5000);
      proxy.isDeaf = false;
      await expect.poll(() => running.outcome({ report: 4 }), { timeout: 10_000 }).toBeUndefined();
      expect(await rows()).toContain(4);
      expect(await rows()).not.toContain(3);
    });

    it("a statement is cancelled even if the server reads it only after the first request to cancel it", async () => {
      using running = script(
        `if c.report == 1 then assert(db:execute([[SELECT 'the one that is stopped']])) return end
         assert(db:execute('INSERT INTO usage SELECT 2 FROM pg_sleep(600)'))`,
        { handlerTimeoutMs: 500 },
      );
      expect(await running.outcome({ report: 1 })).toBeUndefined();
      const { rows: found } = await observer.query(
        "SELECT pid FROM pg_stat_activity WHERE query = $$SELECT 'the one that is stopped'$$",
      );
      const [{ pid }] = found;
      process.kill(pid, "SIGSTOP");
      const outcome = running.outcome({ report: 2 });
      await sleep(1000);
      process.kill(pid, "SIGCONT");
      expect(await outcome).toMatchObject({ effect: "none" });
      expect(await rows()).toEqual([]);
    });

    it("its statement is cancelled over TCP, too, and no statement of another handler is", async () => {
      using running = script(
        `if c.report == 1 then db:execute("SELECT 'slow', pg_sleep(600)") else
         db:execute("SELECT 'other', pg_sleep(0.3)") end`,
        { handlerTimeoutMs: 1000 },
        `host=127.0.0.1 port=${server.port} user=postgres dbname=postgres`,
      );
      expect(await running.outcome({ report: 1 })).toMatchObject({ effect: "none" });
      expect(await running.outcome({ report: 2 })).toBeUndefined();
    });
  });

  describe("the coroutines of a handler that failed", () => {
    it("send nothing more", async () => {
      using running = script(
        `if c.report == 1 then assert(db:execute('SELECT pg_sleep(0.3)')) return end
         coroutine.wrap(function() db:execute('INSERT INTO usage VALUES (1)') end)()
         error('x')`,
      );
      const outcomes = await Promise.all([1, 2].map((report) => running.outcome({ report })));
      expect(outcomes).toEqual([undefined, expect.objectContaining({ effect: "none" })]);
      expect(await running.outcome({ report: 1 })).toBeUndefined();
      expect(await rows()).toEqual([]);
    });

    it("send nothing more, not even a coroutine that has itself made the handler fail", async () => {
      const body = `local main = coroutine.running()
         coroutine.wrap(function()
           db:execute('SELECT 1')
           coroutine.resume(main)
           _, refusal = db:execute('INSERT INTO usage VALUES (1)')
         end)()
         coroutine.yield()
         error('x')`;
      using running = script(
        `if c.report == 1 then ${body} end
         assert(db:execute('SELECT 1')) error(refusal, 0)`,
      );
      expect(await running.outcome({ report: 1 })).toMatchObject({ cause: "script" });
      // This handler reports the error that the coroutine got.
      expect(await running.outcome({ report: 2 })).toMatchObject({
        message: bytesOfText("its handler has ended\n"),
      });
      expect(await rows()).toEqual([]);
    });

    it("send nothing more in its transaction", async () => {
      expect(
        await after(
          `db:transaction(function(tx)
             -- This statement survives its cancellation.
             coroutine.wrap(function() tx:execute([[DO $$ BEGIN PERFORM pg_sleep(600);
               EXCEPTION WHEN query_canceled THEN NULL; END $$]]) end)()
             tx:execute('INSERT INTO usage VALUES (1); COMMIT')
           end)`,
          { handlerTimeoutMs: 500 },
        ),
      ).toEqual({ effect: "none", cause: "script", rows: [] });
    });
  });

  describe("before the first effect", () => {
    it("the daemon is asked, once for each run", async () => {
      let asked = 0;
      let grant = () => {};
      const granted = new Promise<void>((resolve) => {
        grant = resolve;
      });
      using running = script(
        "db:execute('INSERT INTO usage VALUES (1)') db:execute('INSERT INTO usage VALUES (2)')",
        {
          begin: {
            ask: () => {
              asked++;
              return granted;
            },
          },
        },
      );
      const done = running.outcome();
      await expect.poll(() => asked).toBe(1);
      expect(await rows()).toEqual([]);
      grant();
      expect(await done).toBeUndefined();
      expect(await rows()).toEqual([1, 2]);
      expect(asked).toBe(1);
    });

    it("the daemon is not asked without a session; in a transaction, only at COMMIT", async () => {
      let asked = 0;
      const begin = {
        ask: () => {
          asked++;
          return Promise.reject(new Error("the journal is full"));
        },
      };
      await after("assert(db:execute('SELECT 1'))", { begin }, "host=/nonexistent");
      await after("db:transaction(function(tx) tx:execute('SELECT 1') error('x') end)", { begin });
      expect(asked).toBe(0);
      using running = script(
        `print(db:transaction(function(tx) assert(tx:execute('INSERT INTO usage VALUES (1)')) end))
         print(db:execute('INSERT INTO usage VALUES (2)'))`,
        { begin },
      );
      expect(await running.handle()).toBe(
        "nil\tthe journal is full\n\nnil\tthe journal is full\n\n",
      );
      expect(asked).toBe(1);
      expect(await rows()).toEqual([]);
    });
  });
});
