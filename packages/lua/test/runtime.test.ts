import { mkdtempSync, openSync, rmSync } from "node:fs";
import { bytesOfText, Fd, setXattr } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { OutOfMemory } from "../src/compat/memory.ts";
import { lua, pushValue, toBytes, toText } from "../src/lua.ts";
import { NO_HANDLERS } from "../src/run-kinds.ts";
import { ScriptError } from "../src/runtime/index.ts";
import { type Open, printedBy, TestScript } from "./script.ts";

function loadError(code: string): ScriptError {
  try {
    using _script = new TestScript(code);
  } catch (error) {
    if (error instanceof ScriptError) return error;
    throw error;
  }
  throw new Error("the script was loaded");
}

/** Gives scripts a function `wait`, which returns its argument later. */
const openWait: Open = (L, runtime) => {
  lua.lua_pushcfunction(L, (thread) => {
    const value = toText(thread, 1);
    const type = lua.lua_type(thread, 1);
    return runtime.scheduler.suspend(thread, () => ({
      result: new Promise((resolve) => setImmediate(resolve)),
      push: (waiting) => {
        if (type === lua.LUA_TNUMBER) lua.lua_pushnumber(waiting, Number(value));
        else if (type === lua.LUA_TBOOLEAN) lua.lua_pushboolean(waiting, true);
        else pushValue(waiting, value);
        return 1;
      },
    }));
  });
  lua.lua_setglobal(L, toBytes("wait"));
};

describe("loading", () => {
  it("reports mistakes with file and line", () => {
    expect(loadError("function cgroup_released(").message).toMatch(
      /^\/.*\/script\.lua:1: <name> or '\.\.\.' expected near '<eof>'$/,
    );
    const failure = loadError("local function f() error('boom') end\nf()");
    expect(failure.message).toMatch(/script\.lua:1: boom$/);
    expect(failure.failure.traceback).toContain("script.lua:2: in main chunk");
    expect(loadError("error({})").message).toBe("table");
    expect(loadError("cgroup_released = 5").message).toMatch(
      /'cgroup_released' is not a function, but a number/,
    );
  });

  it("warns if there is no handler, and does nothing when one should run", async () => {
    using script = new TestScript("");
    expect(script.warning).toMatch(/script\.lua: function 'cgroup_released' not found/);
    expect(await script.handle()).toBe("");
  });

  it("puts the default path in place of each ;; of $LUA_PATH_5_1", () => {
    const pathWith = (value: string | undefined) => {
      if (value === undefined) delete process.env["LUA_PATH_5_1"];
      else process.env["LUA_PATH_5_1"] = value;
      using script = new TestScript("print(package.path)");
      return script.printed.trim();
    };
    const before = process.env["LUA_PATH_5_1"];
    try {
      const usual = pathWith(undefined);
      expect(pathWith("/a/?.lua;;/b/?.lua;;")).toBe(`/a/?.lua;${usual};/b/?.lua;${usual};`);
    } finally {
      pathWith(before);
    }
  });

  it("keeps the handler that was defined when the script was loaded", async () => {
    using script = new TestScript(
      "function cgroup_released() print('first') cgroup_released = function() print('second') end end",
    );
    expect(await script.handle()).toBe("first\n");
    expect(await script.handle()).toBe("first\n");
  });

  it("lets a script omit what is optional even if undefined globals are an error", async () => {
    using script = new TestScript(`
      function cgroup_released() print('called') end
      setmetatable(_G, { __index = function(_, name) error('undefined: ' .. name) end })`);
    expect(script.warning).toBeUndefined();
    script.runtime.reload();
    expect(await script.handle()).toBe("called\n");
  });

  it("refuses a script whose handler cannot be read, so that cgroups wait for a better one", () => {
    const code = "setmetatable(_G, { __index = function(_, name) error('no ' .. name) end })";
    expect(loadError(code).message).toMatch(/script\.lua:1: no cgroup_released$/);
  });

  it("lets a script inherit its handler from another table of globals", async () => {
    using script = new TestScript(
      "setmetatable(_G, { __index = { cgroup_released = function() print('called') end } })",
    );
    expect(await script.handle()).toBe("called\n");
  });

  it("ends in time even if reading a global would never end", async () => {
    using script = new TestScript(
      "function cgroup_released() print('called') end setmetatable(_G, { __index = function() while true do end end })",
    );
    expect(await script.handle()).toBe("called\n");
  });

  it("skips a shebang line", async () => {
    using script = new TestScript("#!/usr/bin/lua\nfunction cgroup_released() error('x') end");
    await expect(script.handle()).rejects.toThrow("script.lua:2: x");
  });
});

describe("handlers", () => {
  it("fail with a message and a traceback", async () => {
    using script = new TestScript(
      "local function inner() local t = nil; return t.x end\nfunction cgroup_released()\n  inner()\nend",
    );
    const failure = await script.outcome();
    expect(failure?.message).toMatch(/script\.lua:1: attempt to index local 't' \(a nil value\)$/);
    expect(failure?.traceback).toMatch(/in upvalue 'inner'/);
    expect(failure?.traceback).toMatch(/script\.lua:3: in function/);
  });

  it("can keep data in a file without a name", async () => {
    const code = `
      local f = io.tmpfile()
      f:write("one\\ntwo\\n")
      f:seek("set")
      print(f:read("*l"), f:read("*a"), f:seek("end"))
      f:close()`;
    expect(await printedBy(code)).toBe("one\ttwo\n\t8\n");
  });

  it("fail with the type's name if the error is not a string", async () => {
    await expect(printedBy("error({})")).rejects.toThrow("table");
    await expect(printedBy("error()")).rejects.toThrow("nil");
    await expect(printedBy("error(setmetatable({}, {}))")).rejects.toThrow("table");
  });

  it("are stopped by the instruction budget, with a message naming cgroup and line", async () => {
    using script = new TestScript(
      "function cgroup_released(c)\n  local x = 1\n  while true do x = x + 1 end\nend",
      {
        instructions: 100_000,
      },
    );
    const failure = await script.outcome();
    expect(failure?.message).toMatch(
      /script\.lua:3: the handler of \/system\.slice\/test\.scope\/a ran 100000 instructions/,
    );
    // The next one starts with a full budget.
    expect((await script.outcome())?.message).toMatch(/ran 100000 instructions/);
  });

  it.each([
    "while true do pcall(function() while true do end end) end",
    "local function f() return xpcall(function() while true do end end, f) end f()",
    "coroutine.wrap(function() while true do end end)()",
    "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "table.sort({3,2,1,5,4}, function() while true do end end)",
    "('x'):rep(10):gsub('x', function() while true do end end)",
    "for _ in function() return 1 end do end",
    "setmetatable({}, {__index = function() while true do end end}).x = 1 return setmetatable({}, {__index = function() while true do end end}).x",
    "local t = setmetatable({}, {__tostring = function() while true do end end}) print(t)",
    "load(function() while true do end end)",
    "('a'):rep(30):find(('a-'):rep(30) .. 'b')",
  ])("cannot evade the budget: %s", async (body) => {
    using script = new TestScript(`function cgroup_released() ${body} end`, {
      instructions: 50_000,
    });
    expect((await script.outcome())?.message).toMatch(/50000 instructions/);
    expect((await script.outcome())?.message).toMatch(/50000 instructions/);
  });

  it("have a new budget after each wait, wherever they wait", async () => {
    const body = `
      for i = 1, 5 do for j = 1, 2000 do end wait(i) end
      print(pcall(function() for j = 1, 2000 do end return wait('a') end))
      print(xpcall(function() for j = 1, 2000 do end return wait('b') end, print))
      local t = setmetatable({}, {__index = function(_, k) return wait(k) end, __add = function() return wait(7) end,
        __call = function(_, x) return wait(x) end, __concat = function() return wait('..') end,
        __lt = function() return wait(true) end})
      print(t.foo, t + 1, t('c'), t .. 'x', t < t)
      for v in function() return wait(nil) end do end
      print(loadstring('return wait("loaded")')())
      print(coroutine.wrap(function() for j = 1, 2000 do end return 'inner' end)())`;
    expect(await printedBy(body, { instructions: 10_000, open: openWait })).toBe(
      "true\ta\ntrue\tb\nfoo\t7\tc\t..\ttrue\nloaded\ninner\n",
    );
  });

  it("cannot wait where they cannot be suspended, and can catch that error", async () => {
    expect(
      await printedBy(
        `print(pcall(table.sort, {2, 1}, function() wait(1) end))
         print(pcall(string.gsub, 'x', 'x', function() wait(1) end))
         print(wait('still fine'))`,
        { open: openWait },
      ),
    ).toMatch(/^(false\t\S+lua:\d: attempt to yield across C-call boundary\n){2}still fine\n$/);
    expect(() => new TestScript("wait(1)", { open: openWait })).toThrow(
      /attempt to yield across C-call boundary/,
    );
  });

  it("get no late results after other Lua code has resumed them", async () => {
    using script = new TestScript(
      `function cgroup_released(c)
         if c.report == 2 then
           print('resumed', coroutine.resume(first, 'a', 'b'))
           wait(1) wait(2)
           print('last', coroutine.resume(first, 'c'))
           return
         end
         first = coroutine.running()
         print('got', wait('late'))
         print('yielded', coroutine.yield())
       end`,
      { open: openWait },
    );
    await Promise.all([script.outcome({ report: 1 }), script.outcome({ report: 2 })]);
    expect(script.printed).toBe("got\ta\tb\nresumed\ttrue\nyielded\tc\nlast\ttrue\n");
  });

  it("may wait in coroutines of their own", async () => {
    using script = new TestScript(
      `function cgroup_released(c)
         local co = coroutine.create(function() print('waited', wait(5)) if c.report == 2 then error('stray', 0) end end)
         print(coroutine.resume(co))
         wait(1) wait(2) wait(3)
         print(coroutine.status(co))
       end`,
      { open: openWait },
    );
    expect(await script.handle()).toBe("true\nwaited\t5\ndead\n");
    expect(await script.handle({ report: 2 })).toBe("true\nwaited\t5\ndead\n");
    expect(script.errors).toEqual(["a coroutine: stray"]);
  });

  it("that overflow the stack fail, and nothing else does", async () => {
    using script = new TestScript(
      "function cgroup_released(c) if c.report == 2 then print('fine') return end local function f() return 1 + f() end f() end",
    );
    expect((await script.outcome())?.message).toMatch(/stack overflow/);
    expect(await script.handle({ report: 2 })).toBe("fine\n");
  });

  it("cannot fill the memory with strings", async () => {
    using script = new TestScript(
      "function cgroup_released(c) if c.report == 2 then print('fine') return end local s = 'x' while true do s = s .. s end end",
    );
    expect((await script.outcome())?.message).toBe(
      "not enough memory: a string of more than 64 MiB",
    );
    await expect(printedBy("('x'):rep(2e9)")).rejects.toThrow("resulting string too large");
    await expect(printedBy("('x'):rep(1e6):gsub('x', ('y'):rep(1e6))")).rejects.toThrow(/./);
    expect(await script.handle({ report: 2 })).toBe("fine\n");
  });

  it("fail if there is no memory for their arguments", () => {
    using script = new TestScript("");
    const failures: unknown[] = [];
    script.runtime.scheduler.start(
      bytesOfText("a callback"),
      () => {
        throw new OutOfMemory();
      },
      (failure) => failures.push(failure),
    );
    expect(failures).toEqual([{ message: bytesOfText("not enough memory") }]);
  });

  it("that wait too long count as failed, and their cgroup becomes stale", async () => {
    using script = new TestScript(
      "function cgroup_released(c) if kept then print(pcall(function() return kept.path end)) return end kept = c coroutine.yield() end",
      { handlerTimeoutMs: 50 },
    );
    expect((await script.outcome())?.message).toBe(
      "the handler of /system.slice/test.scope/a did not end within 0.05 s",
    );
    expect(await script.handle()).toMatch(/^false\t.*script\.lua:1: Stale object\n$/);
  });

  it("leave no coroutine that runs after the script has been closed", async () => {
    const code =
      "function cgroup_released() coroutine.wrap(function() wait(1) print('late') end)() end";
    using script = new TestScript(code, { open: openWait });
    await script.handle();
    script.runtime.close();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(script.printed).toBe("");
  });

  it("can be resumed by other Lua code, which completes them", async () => {
    using script = new TestScript(`
      function cgroup_released(c)
        if c.report == 1 then
          first = coroutine.running()
          local got = coroutine.yield('ignored')
          print('got ' .. got)
          if got == 'fail' then error('asked to', 0) end
          return 'result'
        end
        print(coroutine.resume(first, c.report == 2 and 'value' or 'fail'))
      end`);
    const first = script.outcome();
    expect(await script.handle({ report: 2 })).toBe("got value\ntrue\tresult\n");
    expect(await first).toBeUndefined();
    const second = script.outcome();
    expect(await script.handle({ report: 3 })).toBe("got fail\nfalse\tasked to\n");
    expect((await second)?.message).toBe("asked to");
  });
});

describe("a part of LuaJIT that we do not have", () => {
  it.each([
    ["require 'ffi'", /ffi is a part of LuaJIT that the script host does not have/],
    ["require 'cjson'", /modules written in C cannot be loaded/],
    [
      "debug.sethook(print, 'l')",
      /debug\.sethook is not available: the script host counts instructions/,
    ],
    ["debug.debug()", /debug\.debug is not available/],
    ["loadstring('\\27LJ') ()", /attempt to call a nil value/],
  ])("is reported as missing: %s", async (code, message) => {
    await expect(printedBy(code)).rejects.toThrow(message);
  });

  it("does not change the version, which is that of Debian 13's LuaJIT", async () => {
    expect(
      await printedBy("print(jit.version, jit.version_num, jit.prngstate(), jit.status())"),
    ).toBe("LuaJIT 2.1.1737090214\t20199\t0\tfalse\n");
  });

  it("is named in the error that a function returns", async () => {
    expect(await printedBy("print(package.loadlib('x.so', 'f')) print(loadstring('\\27LJ'))")).toBe(
      "nil\tC modules cannot be loaded: x.so\tabsent\nnil\t(binary): cannot load incompatible bytecode\n",
    );
  });
});

describe("precompiled code", () => {
  const FUNCTION =
    "function(a) local t = { a, 'x', 1.5 } for i, v in ipairs(t) do print(v) end end";

  it("with any one byte damaged causes an error that a script can handle", async () => {
    const script = `
      local code = string.dump(${FUNCTION})
      local other = 0
      for i = 1, #code do
        for _, change in ipairs { 1, 127 } do
          local byte = string.char((code:byte(i) + change) % 256)
          local f, message = load(code:sub(1, i - 1) .. byte .. code:sub(i + 1), "=x")
          if f ~= nil then print("loaded", i) pcall(f, 1)
          elseif message ~= "x: cannot load malformed bytecode" then other = other + 1
          end
        end
      end
      for i = 5, #code - 1 do assert(not load(code:sub(1, i)), i) end
      assert(not load(code .. "x"))
      -- Changes to the signature cause other messages.
      print(#code > 100, other)
      load(code)(7)`;
    expect(await printedBy(script)).toBe("true\t8\n7\nx\n1.5\n");
  });

  it("of another interpreter is not loaded", async () => {
    const code = "load('\\27Lua\\83\\0\\25\\147\\13\\10\\26\\10', '=x')";
    expect(await printedBy(`print(${code})`)).toBe("nil\tx: cannot load malformed bytecode\n");
  });
});

describe("the cgroup", () => {
  it("has its figures in the units of the manual", async () => {
    const body = `
      for _, name in ipairs{'path', 'id', 'report', 'btime', 'age', 'cpu_total', 'cpu_user', 'cpu_system',
        'cpu_throttled', 'memory_peak', 'memory_max_usage', 'memory_swap_peak', 'memory_events_high',
        'memory_events_max', 'memory_events_oom', 'memory_events_oom_kill', 'pids_peak', 'pids_forks',
        'pids_events_max', 'io_read_bytes', 'io_write_bytes', 'io_reads', 'io_writes', 'cpu_pressure',
        'memory_pressure', 'io_pressure', 'constructor', 'toString', '__proto__'} do
        print(name .. '=' .. tostring(cgroup[name]))
      end`;
    const all = await printedBy(
      body,
      {},
      {
        birthMs: 1_999_500.5,
        cpuTotalUsec: 1_500_000,
        cpuUserUsec: 1_000_001,
        cpuSystemUsec: 0,
        cpuThrottledUsec: 5,
        memoryPeakBytes: 5 * 1024 ** 3,
        memorySwapPeakBytes: 4096,
        memoryEventsHigh: 1,
        memoryEventsMax: 2,
        memoryEventsOom: 3,
        memoryEventsOomKill: 4,
        pidsPeak: 5,
        pidsForks: 6,
        pidsEventsMax: 7,
        ioReadBytes: 2 ** 40,
        ioWriteBytes: 9,
        ioReads: 10,
        ioWrites: 11,
        cpuPressureUsec: 12,
        memoryPressureUsec: 1_000_000,
        ioPressureUsec: 2_500_000,
      },
    );
    expect(all.split("\n")).toEqual([
      "path=/system.slice/test.scope/a",
      "id=boot-1",
      "report=1",
      "btime=1999",
      "age=0.4995",
      "cpu_total=1.5",
      "cpu_user=1.000001",
      "cpu_system=0",
      "cpu_throttled=5e-06",
      "memory_peak=5368709120",
      "memory_max_usage=5368709120",
      "memory_swap_peak=4096",
      "memory_events_high=1",
      "memory_events_max=2",
      "memory_events_oom=3",
      "memory_events_oom_kill=4",
      "pids_peak=5",
      "pids_forks=6",
      "pids_events_max=7",
      "io_read_bytes=1099511627776",
      "io_write_bytes=9",
      "io_reads=10",
      "io_writes=11",
      "cpu_pressure=1.2e-05",
      "memory_pressure=1",
      "io_pressure=2.5",
      "constructor=nil",
      "toString=nil",
      "__proto__=nil",
      "",
    ]);
    const none = await printedBy(body);
    expect(none.match(/=nil$/gm)).toHaveLength(26);
  });

  it("is an object that supports nothing but reading its fields", async () => {
    const said = await printedBy(`
      print(type(cgroup), tostring(cgroup):match('^userdata: 0x%x+$') ~= nil, cgroup == cgroup)
      print(cgroup[1], cgroup[1.5])
      for _, f in ipairs{function() cgroup.x = 1 end, function() return #cgroup end, function() pairs(cgroup) end,
        function() return cgroup[nil] end, function() return cgroup[true] end, function() return cgroup[{}] end} do
        print(select(2, pcall(f)))
      end
      local names = {} for k in pairs(getmetatable(cgroup)) do names[#names + 1] = k end
      table.sort(names) print(table.concat(names, ' '))`);
    expect(said.replace(/\/\S*\//g, "").split("\n")).toEqual([
      "userdata\ttrue\ttrue",
      "nil\tnil",
      "script.lua:4: attempt to index upvalue 'cgroup' (a userdata value)",
      "script.lua:4: attempt to get length of upvalue 'cgroup' (a userdata value)",
      "script.lua:4: bad argument #1 to 'pairs' (table expected, got userdata)",
      "script.lua:5: bad argument #2 to '__index' (string expected, got nil)",
      "script.lua:5: bad argument #2 to '__index' (string expected, got boolean)",
      "script.lua:5: bad argument #2 to '__index' (string expected, got table)",
      "__close __gc __index",
      "",
    ]);
  });

  it("has parents up to the top", async () => {
    expect(
      await printedBy(
        `
        local c = cgroup
        while c do print(c.path, c.memory_peak, c.parent == c.parent) c = c.parent end`,
        {},
        { memoryPeakBytes: 5 },
      ),
    ).toBe(
      "/system.slice/test.scope/a\t5\ttrue\n/system.slice/test.scope\tnil\ttrue\n/system.slice\tnil\ttrue\n",
    );
  });

  it("may have any bytes in its path", async () => {
    const path = `/a/${"'\"\n\t\\\xff\xfe%s;--"}${"x".repeat(240)}`;
    expect(await printedBy("print(cgroup.path, #cgroup.path)", {}, { path })).toBe(
      `${path}\t${path.length}\n`,
    );
  });

  it("becomes stale when its handler ends, and can be closed by hand", async () => {
    using script = new TestScript(`
      function cgroup_released(c)
        if not kept then kept, parent = c, c.parent return end
        print(pcall(function() return kept.path end))
        print(pcall(function() return kept.nothing end))
        print(pcall(function() return parent.path end))
        print(kept == kept, tostring(kept):match('^userdata') ~= nil)
        getmetatable(c).__close(c)
        print(pcall(function() return c.path end))
      end`);
    await script.handle();
    const said = (await script.handle()).replace(/\/\S*\//g, "");
    expect(said.match(/Stale object/g)).toHaveLength(4);
    expect(said).toContain("true\ttrue\n");
  });
});

describe("the attributes and the time of the measurement", () => {
  it("are available, the time with fractions of a second", async () => {
    const figures = { measuredMs: 1_700_000_000_123.5 };
    expect(await printedBy("print(('%.4f'):format(cgroup.measured))", {}, figures)).toBe(
      "1700000000.1235\n",
    );
    expect(await printedBy("print(cgroup.parent.measured)")).toBe("nil\n");
  });

  it("are those that were recorded for the cgroup and each parent, whichever cgroup has the path now", async () => {
    const xattrs = [
      { "user.account": "old" },
      {},
      { "user.account": "top", "trusted.x": "\0\xff" },
    ];
    const code = `
      local c = cgroup
      while c do print(c.path, c.xattr.account, c.xattr['user.account'], c.xattr['trusted.x'] == '\\0\\255') c = c.parent end
      print(cgroup.xattr == cgroup.xattr, type(cgroup.xattr))`;
    expect(await printedBy(code, {}, { path: "/a/b/c/d", xattrs })).toBe(
      "/a/b/c/d\told\told\tfalse\n/a/b/c\tnil\tnil\tfalse\n/a/b\ttop\ttop\ttrue\n/a\tnil\tnil\tfalse\n" +
        "true\tuserdata\n",
    );
  });

  it("never come from a directory that has the cgroup's path now", async () => {
    const root = mkdtempSync("/tmp/lua-xattr-");
    try {
      using opened = new Fd(openSync(root, "r"));
      setXattr(opened.number, "user.account", Buffer.from("another"));
      const code = "print(cgroup.xattr.account, cgroup.parent.xattr.account)";
      expect(await printedBy(code, {}, { path: `${root}/gone` })).toBe("nil\tnil\n");
      expect(await printedBy("print(cgroup.xattr.account)", {}, { path: root })).toBe("nil\n");
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  it("are nil beyond 4096 bytes, and for impossible names", async () => {
    const xattrs = [
      { "user.long": "x".repeat(4096), "user.longer": "x".repeat(4097), "user.empty": "" },
    ];
    const code = `
      local x = cgroup.xattr
      print(#x.long, x.longer, x.empty == '', x.nothing, x[1], x[('x'):rep(2000)])
      print(pcall(pairs, x) == false, pcall(function() x.y = 1 end) == false)`;
    expect(await printedBy(code, {}, { xattrs })).toBe(
      "4096\tnil\ttrue\tnil\tnil\tnil\ntrue\ttrue\n",
    );
  });

  it("become stale when the handler ends", async () => {
    using script = new TestScript(
      "function cgroup_released(c) if x then print(pcall(function() return x.y end)) else x = c.xattr end end",
    );
    await script.handle();
    expect(await script.handle()).toMatch(/Stale object/);
  });
});

describe("lists", () => {
  it("are arrays of cgroups, each with its figures and attributes", async () => {
    using script = new TestScript(`
      function cgroup_released() error('not called') end
      function cgroups_released(list)
        print(#list, type(list), getmetatable(list))
        for i, c in ipairs(list) do print(i, c.path, c.cpu_total, c.xattr.account) end
      end`);
    expect(script.runtime.handlers).toEqual({ ...NO_HANDLERS, released: "list" });
    expect(
      await script.handle(
        { path: "/a", cpuTotalUsec: 1, xattrs: [{ "user.account": "x" }] },
        { path: "/b", cpuTotalUsec: 2e6 },
      ),
    ).toBe("2\ttable\tnil\n1\t/a\t1e-06\tx\n2\t/b\t2\tnil\n");
  });

  it("fail as a whole, with a message that counts the cgroups", async () => {
    using script = new TestScript("function cgroups_released() coroutine.yield() end", {
      handlerTimeoutMs: 50,
    });
    expect(await script.outcome({ path: "/a" }, { path: "/b" }, { path: "/c" })).toMatchObject({
      message: "the handler of /a and 2 more did not end within 0.05 s",
      effect: "none",
    });
  });
});

describe("running cgroups", () => {
  const handlers = `
    function cgroup_released(c) print('released', c.path) end
    function cgroup_running(c) print('running', c.path) end`;

  it("have handlers of their own, in scripts whose handlers may be called again", async () => {
    using one = new TestScript(`handlers_bear_repetition = true ${handlers}`);
    expect(one.runtime.handlers).toEqual({
      ...NO_HANDLERS,
      released: "one",
      running: "one",
      bearsRepetition: true,
    });
    expect(await one.handleRunning({ path: "/a" })).toBe("running\t/a\n");
    expect(await one.handle({ path: "/a" })).toBe("released\t/a\n");
    using list = new TestScript(
      `handlers_bear_repetition = true ${handlers} function cgroups_running(l) print(#l, l[2].path) end`,
    );
    expect(await list.handleRunning({ path: "/a" }, { path: "/b" })).toBe("2\t/b\n");
  });

  it("are not passed to other scripts, which get a warning", async () => {
    using script = new TestScript(handlers);
    expect(script.runtime.handlers.running).toBe("none");
    expect(script.warning).toMatch(
      /script\.lua: 'cgroup_running' is not called: it needs handlers_bear_repetition = true$/,
    );
    expect(await script.handleRunning()).toBe("");
  });

  it("need functions as handlers, and a boolean as handlers_bear_repetition", () => {
    expect(loadError("handlers_bear_repetition = 'yes'").message).toMatch(
      /'handlers_bear_repetition' is not a boolean, but a string$/,
    );
    expect(loadError("cgroups_running = 5").message).toMatch(
      /'cgroups_running' is not a function, but a number$/,
    );
    using script = new TestScript("handlers_bear_repetition = false");
    expect(script.runtime.handlers.bearsRepetition).toBe(false);
  });
});

describe("reload", () => {
  it("is looked up each time, runs as a coroutine, and need not exist", async () => {
    using script = new TestScript(
      "n = 0 function set() function reload() n = n + 1 print('reload', n) end end set() function cgroup_released() reload = nil end",
    );
    script.runtime.reload();
    expect(script.printed).toBe("reload\t1\n");
    await script.handle();
    script.runtime.reload();
    expect(script.printed).toBe("reload\t1\n");
    expect(script.errors).toEqual([]);
  });

  it("runs once more for all calls that are made while it runs", async () => {
    using script = new TestScript(`
      function reload() print('start') co = coroutine.running() coroutine.yield() print('end') end
      function cgroup_released() coroutine.resume(co) end`);
    script.runtime.reload();
    script.runtime.reload();
    script.runtime.reload();
    await script.handle();
    expect(script.printed).toBe("start\nend\nstart\n");
  });

  it("reports its errors", () => {
    using script = new TestScript("function reload() error('bad', 0) end");
    script.runtime.reload();
    using other = new TestScript("reload = 5");
    other.runtime.reload();
    expect([...script.errors, ...other.errors]).toEqual([
      "reload: bad",
      "reload: attempt to call a number value",
    ]);
  });
});

describe("the order of pairs", () => {
  // In LuaJIT, the places of string keys depend on their hashes, so the order is not compared with
  // LuaJIT's.
  it.each([
    "{10, 20, 30, x = 1}",
    "{1, 2, 3, 4, a = 1, b = 2}",
    "(function() local t = {} for i = 1, 8 do t[i] = i end t.x = 1 t.y = 2 return t end)()",
    "(function() local t = {x = 1} for i = 1, 4 do t[i] = i end return t end)()",
  ])("has the numbers before the strings when %s grows", async (table) => {
    const body = `for n = 1, 40 do
        local t, keys, names = ${table}, {}, false
        for i = 1, n do t[#t + 1] = i end
        for key in pairs(t) do
          if type(key) == "string" then names = true else
            keys[#keys + 1] = key
            if names or key ~= #keys then error(n .. ": " .. key) end
          end
        end
        if #keys ~= #t then error("lost") end
      end
      print("in order")`;
    expect(await printedBy(body)).toBe("in order\n");
  });
});
