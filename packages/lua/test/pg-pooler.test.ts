/** Tests schemas and channels with a pooler between us and the server. */
import { setTimeout as delay } from "node:timers/promises";
import { missing, Postgres } from "@cm4all/testing";
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openPg } from "../src/pg/library.ts";
import { PgBouncer } from "./pg-bouncer.ts";
import { PgProxy } from "./pg-proxy.ts";
import { TestScript } from "./script.ts";

const SCHEMAS = ["s1", "s2", "s3"] as const;

describe.skipIf(missing("postgres", "pgbouncer") !== undefined)("behind PgBouncer", () => {
  let server: Postgres;
  let observer: Client;
  beforeAll(async () => {
    server = await Postgres.start();
    const { host, port, user } = server;
    observer = new Client({ host, port, user, database: "postgres" });
    await observer.connect();
    for (const schema of ["public", ...SCHEMAS])
      await observer.query(
        `CREATE SCHEMA IF NOT EXISTS ${schema}; CREATE TABLE ${schema}.t (who text, n int UNIQUE DEFERRABLE INITIALLY DEFERRED)`,
      );
  });
  afterAll(async () => {
    await observer?.end();
    await server?.stop();
  });
  beforeEach(async () => {
    for (const schema of ["public", ...SCHEMAS]) await observer.query(`TRUNCATE ${schema}.t`);
  });

  /** Returns a script that uses this schema, and whose handler has this body. */
  function script(conninfo: string, schema: string, body: string): TestScript {
    return new TestScript(
      `db = pg:new([[${conninfo}]], '${schema}')
       function value(sql, ...) local r = assert(db:execute(sql, ...)) return (r:fetch({}, 'n') or {})[1] end
       n = 0
       function cgroup_released(c) n = n + 1 ${body}\nend`,
      { open: openPg },
    );
  }

  /** Returns the number of rows of each writer in each schema. */
  async function rows(): Promise<Record<string, number>> {
    const found: Record<string, number> = {};
    for (const schema of ["public", ...SCHEMAS]) {
      const { rows: counts } = await observer.query(
        `SELECT who, count(*)::int AS count FROM ${schema}.t GROUP BY who`,
      );
      for (const { who, count } of counts) found[`${who} in ${schema}`] = count;
    }
    return found;
  }

  /** Returns statements of every kind: the last statement fails, and the others add six rows. */
  const everyKind = (who: string) => [
    `assert(db:execute("INSERT INTO t VALUES ('${who}', $1)", {n * 10}))`,
    `assert(db:execute("INSERT INTO t VALUES ('${who}', " .. n * 10 + 1 .. ")"))`,
    `assert(db:execute("SELECT 'COMMIT; BEGIN'; /* ; COMMIT */ INSERT INTO t VALUES ('${who}', " .. n * 10 + 2 .. ") -- ; END"))`,
    `assert(db:transaction(function(tx)
       assert(tx:execute("INSERT INTO t VALUES ('${who}', $1)", {n * 10 + 3}))
     end))`,
    `value("BEGIN") value("SAVEPOINT a") value("ROLLBACK TO a")
     value("INSERT INTO t VALUES ('${who}', $1)", {n * 10 + 4})
     value("COMMIT AND CHAIN")
     value("INSERT INTO t VALUES ('${who}', $1)", {n * 10 + 5}) value("COMMIT")`,
    `local ok, message = db:execute("INSERT INTO t VALUES ('${who}', $1)", {'x'}) assert(not ok)`,
  ];

  const ROUNDS = 20;

  async function writeFromAll(conninfo: string): Promise<void> {
    const scripts = SCHEMAS.map((schema) => script(conninfo, schema, everyKind(schema).join("\n")));
    try {
      await Promise.all(
        scripts.map(async (running) => {
          for (let i = 0; i < ROUNDS; i++) await running.handle();
        }),
      );
    } finally {
      for (const running of scripts) running[Symbol.dispose]();
    }
  }

  const EXPECTED = Object.fromEntries(SCHEMAS.map((name) => [`${name} in ${name}`, ROUNDS * 6]));

  it.each([
    ["transaction", 2, ""],
    ["transaction", 2, "pool_mode=transaction"],
    ["session", 3, ""],
    ["session", 3, "pool_mode=session"],
  ] as const)(
    "in %s mode (%i sessions, %s) each row is in its schema",
    async (mode, size, more) => {
      await using bouncer = await PgBouncer.start(server, mode, size);
      await writeFromAll(`${bouncer.conninfo} ${more}`);
      expect(await rows()).toEqual(EXPECTED);
      // No setting of ours is left in a session that others use.
      if (mode === "transaction") {
        const paths = await searchPathsThrough(bouncer);
        expect(new Set(paths)).toEqual(new Set(['"$user", public']));
      }
    },
    60_000,
  );

  /** Returns the search paths of the sessions of a pooler. */
  async function searchPathsThrough(bouncer: PgBouncer): Promise<string[]> {
    using asking = script(bouncer.conninfo, "", "print(value('SHOW search_path'))");
    const found: string[] = [];
    for (let i = 0; i < 10; i++) found.push((await asking.handle()).trimEnd());
    return found;
  }

  it("in statement mode nothing is written, and the pooler's message says why", async () => {
    await using bouncer = await PgBouncer.start(server, "statement", 2);
    using running = script(
      bouncer.conninfo,
      "s1",
      `print(select(2, db:execute("INSERT INTO t VALUES ('s1', 1)")))`,
    );
    expect(await running.handle()).toMatch(/transaction blocks not allowed in statement pooling/);
    expect(await rows()).toEqual({});
  });

  it("a query string with several commands cannot begin or end a transaction", async () => {
    await using bouncer = await PgBouncer.start(server, "transaction", 2);
    const insert = "INSERT INTO t VALUES ('s1', 1)";
    for (const sql of [
      `BEGIN; ${insert}; COMMIT; ${insert}`,
      `${insert}; COMMIT; ${insert}`,
      `/* */ COMMIT; ${insert}`,
      `SELECT $a$'$a$; end; ${insert}`,
      `SELECT 'it''s'; RollBack; ${insert}`,
      `SELECT E'\\''; abort; ${insert}`,
      `SELECT 1 AS ";"; START TRANSACTION; ${insert}`,
      `/* /* */ ; */ PREPARE TRANSACTION 'x'; ${insert}`,
    ]) {
      using running = script(
        bouncer.conninfo,
        "s1",
        `print(select(2, db:execute([==[${sql}]==])))`,
      );
      expect(await running.handle(), sql).toMatch(/cannot begin or end a transaction/);
    }
    expect(await rows()).toEqual({});
  });

  it("a command with a body counts as one command", async () => {
    await using bouncer = await PgBouncer.start(server, "transaction", 2);
    const insert = (n: number) => `INSERT INTO t VALUES ('s1', ${n})`;
    const bodies = [
      `CREATE FUNCTION f() RETURNS int BEGIN ATOMIC ${insert(1)}; SELECT CASE WHEN true THEN 1 END AS end; END`,
      `CREATE OR REPLACE PROCEDURE p() /* ; */ BEGIN ATOMIC ${insert(2)}; ${insert(3)}; END; CALL p()`,
      `CREATE FUNCTION g(begin int) RETURNS int LANGUAGE plpgsql AS $b$BEGIN ${insert(4)}; RETURN 1; END;$b$; SELECT g(1)`,
      `DO 'BEGIN ${insert(5).replaceAll("'", "''")}; END;'`,
      `CREATE RULE r AS ON DELETE TO t DO ALSO (${insert(6)}; NOTIFY c)`,
      "SELECT f(); DELETE FROM t WHERE n = 1",
    ];
    const calls = bodies.map((sql) => `assert(db:execute([==[${sql}]==]))`);
    using running = script(bouncer.conninfo, "s1", calls.join("\n"));
    expect(await running.outcome()).toBeUndefined();
    const { rows: made } = await observer.query(
      `SELECT string_agg(DISTINCT nspname, ',') AS where FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE proname IN ('f', 'p', 'g')`,
    );
    expect(made).toEqual([{ where: "s1" }]);
    await observer.query("DROP RULE r ON s1.t");
    const { rows: found } = await observer.query("SELECT n FROM s1.t ORDER BY n");
    expect(found.map(({ n }) => n)).toEqual([2, 3, 4, 5, 6]);
  });

  it("a rollback to a savepoint keeps the settings of the transaction", async () => {
    await using bouncer = await PgBouncer.start(server, "transaction", 2);
    using running = script(
      bouncer.conninfo,
      "s1",
      `value("BEGIN") value("SAVEPOINT a; SELECT 1; ROLLBACK TO a; INSERT INTO t VALUES ('s1', 1)")
       value("SET LOCAL search_path TO s2") value("SAVEPOINT b") db:execute("SELECT 1 / 0")
       value("ROLLBACK WORK TO SAVEPOINT b") value("INSERT INTO t VALUES ('s2', 1)")
       value("COMMIT") value("INSERT INTO t VALUES ('s1', 2)")`,
    );
    expect(await running.outcome()).toBeUndefined();
    expect(await rows()).toEqual({ "s1 in s1": 2, "s2 in s2": 1 });
  });

  it("string literals are read as the server reads them", async () => {
    await using bouncer = await PgBouncer.start(server, "transaction", 2);
    const insert = "INSERT INTO t VALUES ($$s1$$, 1)";
    const after = async (sql: string) => {
      using running = script(
        bouncer.conninfo,
        "s1",
        `print(select(2, db:execute([==[${sql}]==])))`,
      );
      return await running.handle();
    };
    const hidden = String.raw`SELECT '\''; COMMIT; ${insert}; SELECT ' --'`;
    const refused = /cannot begin or end a transaction/;
    expect(await after(hidden)).toBe("\n");
    await observer.query("ALTER ROLE postgres SET standard_conforming_strings TO off");
    try {
      await bouncer.pause();
      await bouncer.resume();
      expect(await after(hidden)).toMatch(refused);
    } finally {
      await observer.query("ALTER ROLE postgres RESET standard_conforming_strings");
    }
    expect(await rows()).toEqual({});
  });

  it("statements that cannot run in a transaction are refused by the server", async () => {
    await using bouncer = await PgBouncer.start(server, "transaction", 2);
    for (const sql of [
      "VACUUM t",
      "CREATE DATABASE x",
      "CREATE INDEX CONCURRENTLY x ON t (n)",
      "REINDEX TABLE CONCURRENTLY t",
      "ALTER SYSTEM SET work_mem TO '8MB'",
      "DISCARD ALL",
    ]) {
      using running = script(
        bouncer.conninfo,
        "s1",
        `print(select(2, db:execute([==[${sql}]==]))) print(value('SELECT 1'))`,
      );
      expect(await running.handle(), sql).toMatch(
        /cannot (?:run inside|be executed from) a .*transaction block\n\n1\n$/,
      );
    }
    for (const [sql, message] of [
      ["DO 'BEGIN COMMIT; END'", /invalid transaction termination/],
      ["COPY t TO STDOUT", /COPY to the client is not supported/],
      ["COPY t FROM STDIN", /COPY/],
      ["COMMIT PREPARED 'x'", /does not exist/],
    ] as const) {
      using running = script(
        bouncer.conninfo,
        "s1",
        `print(select(2, db:execute([==[${sql}]==])))
         print(value("SELECT current_schema()"))`,
      );
      const printed = await running.handle();
      expect(printed, sql).toMatch(message);
      expect(printed, sql).toMatch(/\ns1\n$/);
    }
  });

  it("channels are listened to only in sessions that are not shared", async () => {
    const listening = (conninfo: string) =>
      script(
        conninfo,
        "s1",
        "db:listen('c', function(_, p) heard = p end) print(value('SELECT 1'), heard)",
      );
    await using pooled = await PgBouncer.start(server, "transaction", 2);
    using refused = listening(pooled.conninfo);
    expect(await refused.handle()).toBe("1\tnil\n");
    expect(refused.errors.join("")).toMatch(/^not listening on "c": a pooler .*pool_mode=session/);
    using later = new TestScript(
      `db = pg:new([[${pooled.conninfo}]])
       function cgroup_released()
         assert(db:execute("SELECT 1")) db:listen('d', print) print((db:execute("SELECT 2"):fetch({}, 'n'))[1])
       end`,
      { open: openPg },
    );
    expect(await later.handle()).toBe("2\n");
    expect(later.errors.join("")).toMatch(/^not listening on "d": a pooler/);
    await using own = await PgBouncer.start(server, "session", 3);
    using unsaid = new TestScript(
      `db = pg:new([[${own.conninfo}]]) db:listen('c', print)
       function cgroup_released() print((db:execute('SELECT 1'):fetch({}, 'n') or {})[1]) end`,
      { open: openPg },
    );
    expect(await unsaid.handle()).toBe("1\n");
    expect(unsaid.errors.join("")).toMatch(/^not listening on "c"/);
    using heard = new TestScript(
      `db = pg:new([[${own.conninfo} pool_mode=session]], 's1') db:listen('c', print)
       function cgroup_released() print((db:execute('SELECT 1'):fetch({}, 'n') or {})[1]) end`,
      { open: openPg },
    );
    await heard.handle();
    expect(heard.errors).toEqual([]);
    await observer.query("NOTIFY c, 'hello'");
    await until(() => heard.printed.includes("c\thello\n"));
  });

  async function until(isTrue: () => boolean): Promise<void> {
    const deadline = Date.now() + 20_000;
    while (!isTrue()) {
      if (Date.now() > deadline) throw new Error("the condition did not become true");
      await delay(10);
    }
  }

  it.each(["transaction", "session"] as const)(
    "in %s mode a restart of the pooler loses nothing that was acknowledged",
    async (mode) => {
      await using bouncer = await PgBouncer.start(server, mode, 3);
      const acknowledged: Record<string, number> = {};
      let isOver = false;
      const scripts = SCHEMAS.map((schema) =>
        script(
          bouncer.conninfo,
          schema,
          `if db:execute("INSERT INTO t VALUES ('${schema}', $1)", {n}) then print("yes") end`,
        ),
      );
      const writing = scripts.map(async (running, i) => {
        const name = `${SCHEMAS[i]} in ${SCHEMAS[i]}`;
        while (!isOver) {
          if ((await running.handle()) === "yes\n")
            acknowledged[name] = (acknowledged[name] ?? 0) + 1;
          await delay(1);
        }
      });
      const counts = () => SCHEMAS.map((name) => acknowledged[`${name} in ${name}`] ?? 0);
      await until(() => counts().every((count) => count >= 20));
      await bouncer.pause();
      await delay(50);
      await bouncer.resume();
      const before = counts();
      await until(() => counts().every((count, i) => count >= (before[i] ?? 0) + 20));
      isOver = true;
      await Promise.all(writing);
      for (const running of scripts) running[Symbol.dispose]();
      const found = await rows();
      expect(Object.keys(found).sort()).toEqual(Object.keys(acknowledged).sort());
      // A statement under way may have been executed without being acknowledged.
      for (const [name, count] of Object.entries(acknowledged)) {
        expect(found[name]).toBeGreaterThanOrEqual(count);
        expect(found[name]).toBeLessThanOrEqual(count + 1);
      }
    },
    60_000,
  );

  it("a statement has taken effect if its transaction has", async () => {
    await using proxy = await PgProxy.start(server);
    const after = async (body: string) => {
      using running = script(`${proxy.conninfo} pool_mode=transaction`, "s1", body);
      const outcome = await running.outcome();
      const found = await rows();
      await observer.query("TRUNCATE s1.t");
      return [outcome?.effect, found["s1 in s1"] ?? 0];
    };
    const insert = `db:execute("INSERT INTO t VALUES ('s1', 1)")`;
    expect(await after(`assert(${insert}) error('x')`)).toEqual(["taken", 1]);
    expect(await after(`assert(db:execute("INSERT INTO t VALUES ('s1', 'x')"))`)).toEqual([
      "none",
      0,
    ]);
    // Refused only at COMMIT.
    const twice = `assert(db:execute("INSERT INTO t VALUES ('s1', 1), ('s1', 1)"))`;
    expect(await after(twice)).toEqual(["none", 0]);
    proxy.cutAt("INSERT", 0);
    expect((await after(`assert(${insert})`))[0]).toBe("none");
    proxy.cutAt("COMMIT", -1);
    expect(await after(`assert(${insert})`)).toEqual(["unanswered", 0]);
    proxy.cutAt("COMMIT", 0);
    expect((await after(`assert(${insert})`))[0]).toBe("unanswered");
  });
});
