import { setTimeout as delay } from "node:timers/promises";
import { missing, Postgres } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPg } from "../src/pg/library.ts";
import { type Options, TestScript } from "./script.ts";

describe.skipIf(missing("postgres") !== undefined)("pg", () => {
  let server: Postgres;
  beforeAll(async () => {
    server = await Postgres.start({ tcp: true });
  });
  afterAll(async () => {
    await server?.stop();
  });

  function script(code: string, options: Options = {}): TestScript {
    return new TestScript(
      `db = pg:new('${server.conninfo}')
       function value(sql, params) local r if params then r = assert(db:execute(sql, params)) else r = assert(db:execute(sql)) end return (r:fetch({}, 'n') or {})[1] end
       ${code}`,
      { open: openPg, ...options },
    );
  }

  /** Returns the output of a handler that has this body. */
  async function printed(body: string): Promise<string> {
    using running = script(`function cgroup_released(cgroup) ${body}\nend`);
    return await running.handle();
  }

  it("converts parameters to text as documented", async () => {
    const said = await printed(`
      for _, v in ipairs{0, -0.0, 0.1, 1/3, 1e15, 2^53, 1e16, 1e-4, 1e-5, 5*1024*1024*1024, true, false, 'text', "it's", '', 'a\\0b', 1/0} do
        print(value('select $1::text', {v}))
      end
      print(value('select $1::text is null', {pg.null}))
      print(value('select $1::text is null and $2::int = 5 and $3::int is null', {nil, 5, pg.null}))
      print(value('select concat($1::text, $2::text, $3::text)', {'a', nil, 'c', name = 'ignored', [0] = 'x'}))
      print(tostring(pg.null), value("select 1", {}))`);
    expect(said.split("\n")).toEqual([
      "0",
      "-0",
      "0.1",
      "0.3333333333333333",
      "1000000000000000",
      "9007199254740992",
      "1e+16",
      "0.0001",
      "1e-05",
      "5368709120",
      "1",
      "0",
      "text",
      "it's",
      "",
      "a",
      "inf",
      "t",
      "t",
      "ac",
      "NULL\t1",
      "",
    ]);
  });

  it("raises errors for mistakes in the arguments", async () => {
    const said = await printed(`
      for _, f in ipairs{
        function() db:execute() end, function() db:execute('x', {}, 1) end, function() db:execute(nil) end,
        function() db:execute('x', nil) end, function() db.execute(5, 'x') end, function() pg:new() end,
        function() pg:new('a', 'b', 'c') end, function() db:listen('x') end, function() db:listen('x', 5) end,
        function() db.x = 1 end, function() assert(db:execute('select $1', {nil})) end } do
        print((select(2, pcall(f)):gsub('^.*lua:%d+: ', '')))
      end
      print(db.nosuch, tostring(db):match('^userdata: 0x%x+$') ~= nil)`);
    expect(said.split("\n")).toEqual([
      "Not enough parameters",
      "Too many parameters",
      "bad argument #1 to 'execute' (string expected, got nil)",
      "bad argument #2 to 'execute' (table expected, got nil)",
      "bad argument #1 to 'execute' (pg.Connection expected, got number)",
      "bad argument #1 to 'new' (string expected, got no value)",
      "Too many parameters",
      "Not enough parameters",
      "bad argument #2 to 'listen' (function expected, got number)",
      "attempt to index global 'db' (a userdata value)",
      'ERROR:  bind message supplies 0 parameters, but prepared statement "" requires 1',
      "",
      "nil\ttrue",
      "",
    ]);
  });

  it("returns errors in the words of libpq", async () => {
    const said = await printed(`
      local function show(...) local r, m = ... print(r, (tostring(m):gsub('\\n', '|'))) end
      show(db:execute('select nocol'))
      show(db:execute("do $$ begin raise exception 'my error' using detail = 'my detail', hint = 'my hint'; end $$"))
      show(db:execute('select 1; select 2', {}))
      show(db:execute('select $1, $2', {1}))
      show(db:execute('select $1', {{}}))
      show(db:execute('select $1', {print}))
      show(db:execute("select '\\255'"))
      show(db:execute('select $1', {'\\255'}))
      show(db:execute('select 1/0 from generate_series(1,3)'))
      show(db:execute('copy (select 1) to stdout'))
      show(db:execute('create temp table c(x int); copy c from stdin'))
      print(value('select 42'))`);
    expect(said.split("\n")).toEqual([
      'nil\tERROR:  column "nocol" does not exist|LINE 1: select nocol|               ^|',
      "nil\tERROR:  my error|DETAIL:  my detail|HINT:  my hint|CONTEXT:  PL/pgSQL function inline_code_block line 1 at RAISE|",
      "nil\tERROR:  cannot insert multiple commands into a prepared statement|",
      'nil\tERROR:  bind message supplies 1 parameters, but prepared statement "" requires 2|',
      "nil\tUnsupported query parameter type: table",
      "nil\tUnsupported query parameter type: function",
      'nil\tERROR:  invalid byte sequence for encoding "UTF8": 0xff|',
      'nil\tERROR:  invalid byte sequence for encoding "UTF8": 0xff|',
      "nil\tERROR:  division by zero|",
      "nil\tCOPY to the client is not supported|",
      "nil\tERROR:  COPY from stdin failed: No source stream defined|CONTEXT:  COPY c, line 1|",
      "42",
      "",
    ]);
  });

  it("returns values as the server's text", async () => {
    expect(
      await printed(`
        local r = assert(db:execute([[select 1::int as i, 1.50::numeric as n, true as b, false as f, 'x'::text as t, null::text as z,
          '2020-01-02'::date as d, array[1,2] as a, '\\x00ff'::bytea as y, '{"k": 1}'::json as j, 1e300::float8 as e, '${Buffer.from("ä€").toString("latin1")}' as u, 5368709120 as big]]))
        local row = r:fetch()
        for _, k in ipairs{'i','n','b','f','t','z','d','a','y','j','e','u','big'} do print(k, type(row[k]), row[k]) end
        print(r:fetch(), select('#', r:fetch()))`),
    ).toBe(
      [
        "i\tstring\t1",
        "n\tstring\t1.50",
        "b\tstring\tt",
        "f\tstring\tf",
        "t\tstring\tx",
        "z\tnil\tnil",
        "d\tstring\t2020-01-02",
        "a\tstring\t{1,2}",
        "y\tstring\t\\x00ff",
        'j\tstring\t{"k": 1}',
        "e\tstring\t1e+300",
        `u\tstring\t${Buffer.from("ä€").toString("latin1")}`,
        "big\tstring\t5368709120",
        "nil\t0",
        "",
      ].join("\n"),
    );
  });

  it("fetches rows into tables", async () => {
    expect(
      await printed(`
        local r = db:execute('select x, null as n, x * 2 as x from generate_series(1, 5) x')
        local t = {keep = 1, n = 'stale'}
        print(r:fetch(t) == t, t.x, t.n, t.keep)
        local u = r:fetch({}, 'n') print(u[1], u[2], u[3], u.x)
        print((select(2, pcall(function() r:fetch({}, 'z') end)):gsub('^.*lua:%d+: ', '')))
        print(r:fetch({}, nil).x)
        print((select(2, pcall(r.fetch, r, nil))))
        local m = setmetatable({}, {__newindex = function(t, k, v) rawset(t, k .. '!', v) end})
        print(r:fetch(m)['x!'], r:fetch())
        print(db:execute('select 1 where false'):fetch(), db:execute(''):fetch(), db:execute('select 1; select 2'):fetch({}, 'n')[1])
        for row in db:execute('select x from generate_series(1, 3) x'):rows() do io.write(row.x, ' ') end
        for row in db:execute('select x from generate_series(1, 3) x'):rows('n') do io.write(row[1], ' ') end
        local c = db:execute('select 1') c:close() print(c:fetch(), c.nosuch, tostring(c):match('^userdata') ~= nil)
        print(next(getmetatable(c)) ~= nil, db:execute('select 1 "?column?"'):fetch()['?column?'])`),
    ).toBe(
      [
        "true\t2\tnil\t1",
        "2\tnil\t4\tnil",
        "bad argument #2 to 'fetch' (Bad mode)",
        "6",
        "attempt to index a nil value",
        "10",
        "nil\tnil\t2",
        "1 2 3 1 2 3 nil\tnil\ttrue",
        "true\t1",
        "",
      ].join("\n"),
    );
  });

  it("counts changed rows", async () => {
    expect(
      await printed(`
        db:execute('create temp table a(x int)')
        print(db:execute('insert into a select generate_series(1, 5)'):affected(), db:execute('update a set x = 0 where x > 3'):affected(),
          db:execute('delete from a where x = $1', {0}):affected(), db:execute('select * from a'):affected(), db:execute('begin; rollback'):affected())`),
    ).toBe("5\t2\t2\tnil\tnil\n");
  });

  it("passes hostile text unchanged", async () => {
    using running = script(`
      function cgroup_released(cgroup)
        db:execute('create table if not exists hostile(path text)')
        assert(db:execute('insert into hostile values ($1)', {cgroup.path}))
        print(value('select path from hostile where path = $1', {cgroup.path}) == cgroup.path)
      end`);
    const path = `/a/${"'\"\n\t\\$1;--%s"}${Buffer.from("ä€😀").toString("latin1")}${"x".repeat(200)}`;
    expect(await running.handle({ path })).toBe("true\n");
    await expect(running.handle({ path: "/\xff" })).rejects.toThrow(
      /invalid byte sequence for encoding "UTF8": 0xff/,
    );
  });

  it("queues the statements of concurrent handlers in order", async () => {
    using running = script(`
      function cgroup_released(c)
        for i = 1, 3 do print(c.report .. '.' .. value('select $1', {i})) end
      end`);
    await Promise.all([1, 2, 3].map((report) => running.outcome({ report })));
    expect(running.printed).toBe("1.1\n2.1\n3.1\n1.2\n2.2\n3.2\n1.3\n2.3\n3.3\n");
  });

  it("sets the search path to the schema, without public", async () => {
    expect(
      await printed(`
        db:execute('create schema if not exists other; create table if not exists other.t(x int)')
        local o = pg:new('${server.conninfo}', 'other')
        print(o:execute('show search_path'):fetch().search_path, o:execute('select * from t') ~= nil)
        local n = pg:new('${server.conninfo}', "no 'such")
        print(n:execute('show search_path'):fetch().search_path)`),
    ).toBe('other\ttrue\n"no \'such"\n');
  });

  it("reports why it cannot connect", async () => {
    const said = await printed(`
      print(pg:new('host=/nonexistent'):execute('select 1'))
      print(pg:new('garbage'):execute('select 1'))
      print(pg:new('service=nosuch'):execute('select 1'))
      print(pg:new('${server.conninfo} user=nosuchuser'):execute('select 1'))
      print(pg:new('host=127.0.0.1 port=1'):execute('select 1'))
      print(pg:new('host=/nonexistent,${server.directory} port=${server.port} user=postgres'):execute('select 1') ~= nil)
      print(pg:new('host=localhost port=${server.port} user=postgres sslmode=prefer'):execute('select 1') ~= nil)
      print((select(2, pg:new('host=127.0.0.1 port=${server.port} user=postgres sslmode=require'):execute('select 1'))))
      print((select(2, pg:new('host=127.0.0.1 port=${server.port} user=nosuchuser sslmode=prefer'):execute('select 1'))))
      print(pg:new('postgresql://postgres@127.0.0.1:${server.port}/postgres?application_name=me'):execute('show application_name'):fetch().application_name)
      print(pg:new('${server.conninfo} options=-csearch_path=x'):execute('show search_path'):fetch().search_path)
      print(pg:new('${server.conninfo} target_session_attrs=read-write'):execute('select 1') ~= nil, (select(2, pg:new('${server.conninfo} target_session_attrs=standby'):execute('select 1'))))
      print((select(2, pg:new('host=no-such-host.invalid'):execute('select 1'))))`);
    expect(said.split("\n")).toEqual([
      'nil\tconnection to server on socket "/nonexistent/.s.PGSQL.5432" failed: No such file or directory Is the server running locally and accepting connections on that socket?',
      'nil\tmissing "=" after "garbage" in connection info string',
      'nil\tdefinition of service "nosuch" not found',
      `nil\tconnection to server on socket "${server.directory}/.s.PGSQL.${server.port}" failed: FATAL: role "nosuchuser" does not exist`,
      'nil\tconnection to server at "127.0.0.1", port 1 failed: Connection refused Is the server running on that host and accepting TCP/IP connections?',
      "true",
      "true",
      `connection to server at "127.0.0.1", port ${server.port} failed: server does not support SSL, but SSL was required`,
      `connection to server at "127.0.0.1", port ${server.port} failed: FATAL: role "nosuchuser" does not exist`,
      "me",
      "x",
      `true\tconnection to server on socket "${server.directory}/.s.PGSQL.${server.port}" failed: server is not in hot standby mode`,
      expect.stringMatching(/^could not translate host name "no-such-host.invalid" to address: /),
      "",
    ]);
  });

  it("reports notices, but not to the script", async () => {
    using running = script(
      `function cgroup_released() print(db:execute("do $$ begin raise notice 'hello'; raise warning 'careful' using hint = 'h'; end $$"):fetch()) end`,
    );
    expect(await running.handle()).toBe("\n");
    expect(running.errors.map((text) => text.split("CONTEXT")[0])).toEqual([
      "NOTICE:  hello\n",
      "WARNING:  careful\nHINT:  h\n",
    ]);
  });

  it("fails a statement whose session ends, and opens another session", async () => {
    const said = await printed(`
      print((select(2, db:execute('select pg_terminate_backend(pg_backend_pid())'))))
      print(value('select 1'))
      local other = pg:new('${server.conninfo}')
      local pid = value('select pg_backend_pid()')
      other:execute('select pg_terminate_backend($1)', {pid})
      for i = 1, 50 do other:execute('select pg_sleep(0.01)') end
      print(value('select pg_backend_pid()') ~= pid)`);
    expect(said.split("\n")).toEqual([
      "FATAL:  terminating connection due to administrator command",
      "",
      "1",
      "true",
      "",
    ]);
  });

  describe("transactions", () => {
    it("commit, and have the session to themselves", async () => {
      using running = script(`
        db:listen('x', function() end)
        function cgroup_released(c)
          local a, b = db:transaction(function(tx)
            tx:execute('create table if not exists tx(n int)')
            for i = 1, 3 do assert(tx:execute('insert into tx values ($1)', {c.report * 10 + i})) print(c.report .. '.' .. i) end
            return 'a', 'b'
          end)
          print(a, b, value('select count(*) from tx where n / 10 = $1', {c.report}))
        end`);
      await Promise.all([1, 2].map((report) => running.outcome({ report })));
      expect(running.printed).toBe(
        "1.1\n1.2\n1.3\na\tb\t3\n2.1\n2.2\n2.3\na\tb\t3\n".replace(
          "a\tb\t3\n2.1\n2.2\n2.3\na\tb\t3",
          "2.1\n2.2\n2.3\na\tb\t3\na\tb\t3",
        ),
      );
    });

    it("roll back on errors, and report that", async () => {
      expect(
        await printed(`
          db:execute('drop table if exists rb; create table rb(n int)')
          print(pcall(db.transaction, db, function(tx) tx:execute('insert into rb values (1)') error('stop', 0) end))
          print(pcall(db.transaction, db, function(tx) tx:execute('insert into rb values (1)') error({}) end))
          print(db:transaction(function(tx) tx:execute('insert into rb values (1)') tx:execute('broken') end))
          local kept print(db:transaction(function(tx) kept = tx end))
          print((select(2, pcall(kept.execute, kept, 'select 1')):gsub('^.*lua:%d+: ', '')))
          print(value('select count(*) from rb'), pcall(db.transaction, db, 5))`),
      ).toMatch(
        /^false\tstop\nfalse\ttable: .*\nnil\tthe transaction was rolled back: a statement in it failed\n\ntrue\nthe transaction has ended\n0\tfalse\t.*bad argument #1 to 'transaction'/,
      );
    });

    it("end with their handler", async () => {
      using running = script(
        `function cgroup_released(c)
           if c.report == 1 then db:transaction(function(tx) tx:execute('create table abandoned()') coroutine.yield() end) end
           print(value("select to_regclass('abandoned') is null"))
         end`,
        { handlerTimeoutMs: 2000 },
      );
      const first = running.outcome({ report: 1 });
      // The second handler waits for a session until the first has run out of time.
      await delay(1500);
      const second = running.handle({ report: 2 });
      expect((await first)?.message).toMatch(/did not end within 2 s/);
      expect(await second).toBe("t\n");
    });

    it("are over when the session breaks, and the next transaction has a new session", async () => {
      expect(
        await printed(`
          db:execute('drop table if exists broken; create table broken(n int)')
          print(db:transaction(function(tx)
            tx:execute('insert into broken values (1)')
            print((select(2, tx:execute('select pg_terminate_backend(pg_backend_pid())'))))
            print(tx:execute('insert into broken values (2)'))
          end))
          print(value('select count(*) from broken'))
          print(db:transaction(function(tx) assert(tx:execute('insert into broken values (3)')) return 'ok' end))`),
      ).toMatch(
        /^FATAL: {2}terminating connection[^\n]*\n\nnil\tserver closed the connection unexpectedly[\s\S]*nil\tserver closed[\s\S]*\n0\nok\n$/,
      );
    });

    it("do not continue in a session that others opened meanwhile", async () => {
      using running = script(`
        other, third = pg:new('${server.conninfo}'), pg:new('${server.conninfo}')
        function cgroup_released(c)
          if c.report == 2 then third:execute('select pg_sleep(0.1)') print('other', value('select 1')) return end
          db:execute('drop table if exists gone; create table gone(n int)')
          db:transaction(function(tx)
            tx:execute('select pg_terminate_backend(pg_backend_pid())')
            other:execute('select pg_sleep(0.3)')
            print('tx', (tx:execute('insert into gone values (1)')))
          end)
          print('rows', value('select count(*) from gone'))
        end`);
      await Promise.all([1, 2].map((report) => running.outcome({ report })));
      expect(running.printed.split("\n").sort()).toEqual(["", "other\t1", "rows\t0", "tx\tnil"]);
    });

    it("fail if there is no server", async () => {
      expect(await printed("print(pg:new('host=/nonexistent'):transaction(print))")).toMatch(
        /^nil\tconnection to server on socket/,
      );
    });
  });

  describe("listen", () => {
    it("passes channel and payload; of a channel's notifications during its callback, keeps only the last", async () => {
      using running = script(`
        db:listen('MyChannel', function(channel, payload)
          print(channel, payload)
          db:execute('select pg_sleep(0.05)')
        end)
        db:listen('q"uote', function() print('quoted') end)
        print(pcall(db.listen, db, 'MyChannel', print))
        function cgroup_released() 
          db:execute("select pg_notify('MyChannel', x::text) from generate_series(1, 5) x")
          db:execute([[notify "q""uote"]])
          db:execute('select pg_sleep(0.2)')
        end`);
      expect(await running.handle()).toBe("MyChannel\t1\nMyChannel\t5\nquoted\n");
      expect(running.printed).toMatch(
        /^false\tbad argument #\d to '\S+' \(Duplicate notify name\)/,
      );
    });

    it("reports errors of callbacks, and works again after the session is lost", async () => {
      using running = script(`
        db:listen('chan', function(_, payload) if payload == 'bad' then error('callback', 0) end print(payload) end)
        function cgroup_released(c)
          other = other or pg:new('${server.conninfo}')
          if c.report == 1 then
            db:execute('select 1')
            other:execute("notify chan, 'one'") other:execute("notify chan, 'bad'") 
          elseif c.report == 2 then
            other:execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and query like '%LISTEN%' or query = 'select 1'")
          else
            other:execute("notify chan, 'two'")
          end
        end`);
      await running.handle({ report: 1 });
      await delay(50);
      await running.handle({ report: 2 });
      await delay(300);
      await running.handle({ report: 3 });
      await delay(50);
      expect(running.printed).toBe("one\ntwo\n");
      expect(running.errors[0]).toBe("the callback of channel chan: callback");
      expect(running.errors[1]).toBe(
        "FATAL:  terminating connection due to administrator command\n",
      );
    });
  });

  it("encodes and decodes arrays", async () => {
    const said = await printed(`
      print(pg:encode_array({}), pg:encode_array({'a', 'b c', 2.5, 1e15}), pg:encode_array({'q"\\\\', pg.null, {1}}), pg:encode_array({{1,2},{pg.null,4}}), pg:encode_array({nil, 'b'}))
      print(pg:encode_array({123456789012345, 2^53, 0.1, -0.0, 1e300, 1/3}))
      for _, f in ipairs{function() pg:encode_array('x') end, function() pg:encode_array({a=1}) end, function() pg:encode_array({true}) end, function() pg:encode_array({1, {print}}) end,
        function() pg:encode_array({}, {}) end, function() pg:decode_array('x') end, function() pg:decode_array(nil) end, function() pg:decode_array('{}', 1) end, function() local t = {} t[1] = t pg:encode_array(t) end} do
        print((select(2, pcall(f)):gsub('^.*lua:%d+: ', '')))
      end
      local function show(t) if type(t) ~= 'table' then return tostring(t) end local r = {} for i, v in ipairs(t) do r[i] = show(v) end return '[' .. table.concat(r, '|') .. ']' end
      print(show(pg:decode_array('{a,"b\\\\"c",NULL,{1}}' == '' and '' or '{a,"b\\\\"c",NULL}')), show(pg:decode_array('{a,NULL,"NULL"}', {null = pg.null})), show(pg:decode_array('{{1,2},{3,NULL}}', {null = 0})), show(pg:decode_array('')))
      local there = value('select $1::text[]', {pg:encode_array({'x', 'y"', pg.null, ''})})
      print(there, show(pg:decode_array(there, {null = pg.null})), value('select ($1::int[])[2]', {pg:encode_array({1, 2})}))`);
    expect(said.split("\n")).toEqual([
      '{}\t{"a","b c","2.5","1000000000000000"}\t{"q\\"\\\\",NULL,{"1"}}\t{{"1","2"},{NULL,"4"}}\t{"","b"}',
      '{"123456789012345","9007199254740992","0.1","-0","1e+300","0.3333333333333333"}',
      "bad argument #1 to 'encode_array' (Table expected)",
      'cannot encode the array: its key "a" is not the index of an element',
      "cannot encode element [1]: a boolean",
      "cannot encode element [2][1]: a function",
      "Too many parameters",
      'malformed array at character 1: expected "{"',
      "bad argument #1 to 'decode_array' (string expected, got nil)",
      "Too many parameters",
      "cannot encode element [1][1][1][1][1][1]: arrays have at most 6 dimensions",
      '[a|b"c|NULL]\t[a|NULL|NULL]\t[[1|2]|[3|0]]\t[]',
      '{x,"y\\"",NULL,""}\t[x|y"|NULL|]\t2',
      "",
    ]);
  });

  it("fails one statement per failed attempt to connect, and keeps the others waiting", async () => {
    using running = script(`
      function cgroup_released(c)
        local r, m = db:execute('select $1::int', {c.report})
        print(c.report, r and r:fetch({}, 'n')[1] or m)
      end`);
    await running.handle({ report: 0 });
    await server.pause();
    try {
      await delay(100);
      const waiting = [1, 2, 3, 4].map((report) => running.outcome({ report }));
      await delay(300);
      await server.resume();
      await Promise.all(waiting);
      const lines = running.printed.trim().split("\n").slice(1).sort();
      // With each failed attempt to connect, the oldest statement failed; the others were executed.
      expect(lines[0]).toMatch(/^1\tconnection to server on socket .* No such file or directory/);
      expect(lines[3]).toBe("4\t4");
      expect(await running.handle({ report: 5 })).toBe("5\t5\n");
    } finally {
      await server.pause();
      await server.resume();
    }
  });

  it("withdraws statements of handlers that no longer wait", async () => {
    await printed("assert(db:execute('create table late(n int)'))");
    // On a busy machine, even a quick statement may take longer than a handler may take here, so
    // the last run is repeated until it succeeds.
    using running = script(
      `function cgroup_released(c)
         if c.report == 1 then db:execute('insert into late values (1); select pg_sleep(60)')
         elseif c.report == 2 then db:execute('insert into late values (2)')
         elseif c.report == 3 then db:transaction(function(tx) tx:execute('insert into late values (3)') end)
         else value('select 1') end
       end`,
      { handlerTimeoutMs: 1000 },
    );
    const outcomes = await Promise.all([1, 2, 3].map((report) => running.outcome({ report })));
    expect(outcomes.map((failure) => /did not end/.test(failure?.message ?? ""))).toEqual([
      true,
      true,
      true,
    ]);
    // This runs in the same session, so it comes after anything that was still to be sent.
    while ((await running.outcome({ report: 4 })) !== undefined) await delay(10);
    expect(await printed("print(value('select count(*) from late'))")).toBe("0\n");
  });

  it("cannot wait in the main chunk", () => {
    expect(() => script("db:execute('select 1')")).toThrow(
      /attempt to yield across C-call boundary/,
    );
  });

  it("ends sessions that handlers have opened for themselves", async () => {
    using running = script(
      `function cgroup_released(c)
         if c.report < 5 then pg:new('${server.conninfo} application_name=own'):execute('select 1')
         else print(value("select count(*) from pg_stat_activity where application_name = 'own'")) end
       end`,
    );
    for (const report of [1, 2, 3, 4]) await running.handle({ report });
    await delay(1500);
    expect(await running.handle({ report: 5 })).toBe("0\n");
  });

  it("ends the session of a handler that has failed, even if its statement ends late", async () => {
    using running = script(
      `function cgroup_released(c)
         if c.report == 1 then
           -- The script keeps the connection, so that it is not garbage-collected.
           own = pg:new('${server.conninfo} application_name=late')
           -- Ends only when it is cancelled for the fourth time, 1.4 s after the first.
           own:execute([[DO $$ BEGIN
             FOR n IN 1 .. 4 LOOP
               BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END;
             END LOOP; END $$]])
         else print(value("select count(*) from pg_stat_activity where application_name = 'late'")) end
       end`,
      { handlerTimeoutMs: 2000 },
    );
    expect((await running.outcome({ report: 1 }))?.message).toMatch(/did not end within 2 s/);
    await expect.poll(() => running.handle({ report: 2 }), { timeout: 20_000 }).toBe("0\n");
  });
});
