/**
 * Scripts that go wrong, often inside a single library function: the handler fails, or ends in good
 * time. The script host, in which other handlers run, survives. It is a real process, with limits
 * on memory and time.
 */
import { missing, Postgres } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ScriptHost } from "../src/script-host.ts";
import { account, handler, TestHosts } from "./host-support.ts";

const STOPPED = /without waiting for anything: stopped$/;
const NO_MEMORY = /not enough memory/;
/** On a busy machine, time may run out before memory. */
const EITHER = /not enough memory|stopped$/;
const TOO_LARGE = /resulting string too large/;
const OVERFLOW = /stack overflow/;

/** Handlers' bodies, each with its error; undefined if it succeeds before it would be stopped. */
const cases: readonly (readonly [body: string, error: RegExp | undefined])[] = [
  // A string is not copied as a whole for each byte that is read.
  ["local s = ('x'):rep(300 * 1024) for i = 1, #s do s:byte(i) s:len() end", undefined],
  ["local s = ('x'):rep(300 * 1024) for i = 1, #s do s:sub(i, i) end", undefined],
  [
    "local s, p = ('x,'):rep(150 * 1024), 0 repeat p = s:find(',', p + 1, true) until not p",
    undefined,
  ],
  [
    "local s, p = ('x,'):rep(60 * 1024), 1 repeat p = select(2, s:find('^[^,]*,', p)) if p then p = p + 1 end until not p",
    undefined,
  ],
  ["local s = ('x,'):rep(60 * 1024) for w in s:gmatch('[^,]+') do local n = #w end", undefined],
  [
    "local s = ('x'):rep(300 * 1024) for i = 1, 10 do s:gsub('', '-') s:upper() s:reverse() end",
    undefined,
  ],
  [
    "local s = ('x'):rep(300 * 1024) for i = 1, 1000 do if s == s .. 'x' then return end end",
    undefined,
  ],
  // Queues.
  [
    "local t = {} for i = 1, 20000 do t[i] = i end for i = 1, 20000 do table.remove(t, 1) end",
    undefined,
  ],
  ["local t = {} for i = 1, 20000 do table.insert(t, 1, i) end", undefined],
  // The work of library functions counts as instructions.
  ["table.insert({1, 2, 3}, 0/0, 1)", STOPPED],
  ["table.move({1}, 1, 2^30, 2)", STOPPED],
  [
    "local t = setmetatable({}, {__index = function() end}) for i = 1, 1e9 do table.maxn(t) end",
    STOPPED,
  ],
  ["while true do coroutine.wrap(function() coroutine.yield() end)() end", STOPPED],
  ["while true do coroutine.create(print) end", STOPPED],
  // Calls that take a long time are stopped, a single one as well as a loop of them.
  ["local s = ('1'):rep(2^20) while true do tonumber(s, 16) end", STOPPED],
  ["local s = ('1'):rep(2^23) while true do tonumber(s) end", STOPPED],
  ["local s = ('1'):rep(2^23) while true do local n = s + 1 end", STOPPED],
  ["local s = '0x' .. ('1'):rep(2^20) while true do math.abs(s) end", STOPPED],
  ["local s = ('x'):rep(2^24) while true do tonumber(s) end", STOPPED],
  [
    "local t = {} for i = 1, 2^17 do t['k' .. i] = i end for i = 1, 1e9 do t['k' .. i] = nil t['k' .. i + 2^17] = i end",
    STOPPED,
  ],
  [
    "local t = {} for i = 1, 600 do t[('x'):rep(60000) .. 1000 + i] = i end local k = ('x'):rep(60000) .. 1001 while true do t[k] = t[k] end",
    STOPPED,
  ],
  [
    "local a, b = ('x'):rep(2^24) .. 'a', ('x'):rep(2^24) .. 'b' while true do local c = a < b end",
    STOPPED,
  ],
  [
    "local a, b = ('x'):rep(2^24) .. 'a', ('x'):rep(2^24) .. 'b' while true do local c = a == b end",
    STOPPED,
  ],
  ["local p = ('a'):rep(2^25) while true do (''):find(p) end", STOPPED],
  ["for w in ('x'):rep(1e6):gmatch('[' .. ('a'):rep(2^23) .. ']?') do end", STOPPED],
  ["local s = ('x'):rep(2^24) while true do os.getenv(s) end", STOPPED],
  ["local f = loadstring(('x = 1 '):rep(1e5)) while true do debug.getinfo(f, 'L') end", STOPPED],
  [
    "local s, p, k = ('x'):rep(2^22), sodium.crypto_sign_keypair() while true do sodium.crypto_sign_detached(s, k) end",
    STOPPED,
  ],
  [
    "local s, p, k = ('x'):rep(2^22), sodium.crypto_box_keypair() while true do sodium.crypto_box_seal_open(s, p, k) end",
    STOPPED,
  ],
  ["local s, t = ('\"'):rep(2^20), {} for i = 1, 1000 do t[i] = s end pg:encode_array(t)", STOPPED],
  ["pg:decode_array('{' .. ('1,'):rep(2^22) .. '1}')", STOPPED],
  ["pg:decode_array('{{' .. ('1,'):rep(2^22) .. '1}}')", STOPPED],
  // The position of the invalid byte is found before the statement is sent.
  ["assert(not pg:new(''):execute(('\\195\\164xxxxx'):rep(3.4e6) .. '\\255'))", undefined],
  // A syntax error ends the first of these soon.
  ["assert(not load(function() return 'x ' end))", undefined],
  ["assert(load(function() return ' ' end))", EITHER],
  ["assert(load(function() return ('x = 1 '):rep(1000) end))", EITHER],
  ["('a'):rep(3e5):find('.-b')", STOPPED],
  ["('('):rep(3e5):gsub('%b()', '')", STOPPED],
  ["('a'):rep(1e7):find(('a'):rep(5e6) .. 'b' .. ('a'):rep(1000), 1, true)", STOPPED],
  ["local t = {} for i = 1, 200000 do t[i] = i end while next(t) do t[next(t)] = nil end", STOPPED],
  ["while true do string.format('%99.99f', 1e308) end", STOPPED],
  ["while true do os.date('%c') end", STOPPED],
  ["pcall(function() while true do end end) while true do end", STOPPED],
  [
    "local t = {} for i = 1, 1990 do t = setmetatable({}, {__index = t}) end while true do t.foo = t.foo end",
    STOPPED,
  ],
  // Many digits or blanks with another character are not a number, and this is noticed quickly.
  ["tonumber(('1'):rep(3e5) .. 'x') tonumber('x' .. (' '):rep(3e5) .. 'x')", undefined],
  // Stacks.
  ["local function f(n) return 1 + f(n + 1) end f(1)", OVERFLOW],
  [
    "local function f(n) return 1 + f(n + 1) end assert(not pcall(f, 1)) assert(not pcall(f, 1))",
    undefined,
  ],
  ["local function f() return 1 + coroutine.wrap(f)() end f()", OVERFLOW],
  ["local function f(n) debug.traceback() return 1 + f(n + 1) end f(1)", STOPPED],
  ["return select('#', unpack({}, 1, 1e8))", /too many results to unpack/],
  // Memory.
  ["local t = {} while true do t[#t + 1] = {} end", EITHER],
  ["local t = {} for i = 1, 1e7 do t[i] = i end", EITHER],
  ["local t = {} for i = 1, 1e7 do t['k' .. i] = i end", EITHER],
  ["local t = {} for i = 1, 1e7 do t[i] = newproxy(true) end", EITHER],
  ["local t = {} while true do t[#t + 1] = ('x'):rep(10000) .. #t end", NO_MEMORY],
  ["local s = 'x' while true do s = s .. s end", NO_MEMORY],
  ["local s, t = ('x'):rep(2^20), {} for i = 1, 1000 do t[i] = s .. i end", NO_MEMORY],
  ["local t = {} for i = 1, 1000 do t[i] = ('x'):rep(2^20) end return #table.concat(t)", NO_MEMORY],
  ["string.format(('%%'):rep(3e7))", NO_MEMORY],
  ["string.format('%q', ('\\0'):rep(6e7))", NO_MEMORY],
  ["os.date(('%c'):rep(3e7))", EITHER],
  ["local s = ('aB'):rep(3e7) return s:upper() .. s:lower() .. s:reverse()", NO_MEMORY],
  ["('x'):rep(1e6):gsub('x', ('%0'):rep(1e6))", EITHER],
  ["('x'):gsub('x', ('%0'):rep(1e7))", EITHER],
  ["pg:encode_array({('\"'):rep(2^24)})", undefined],
  ["pg:decode_array('{\"' .. ('\\\\\\\\'):rep(2^22) .. '\"}')", EITHER],
  // The message itself needs memory when it is sent to the daemon.
  [
    "local m, x, t = ('y'):rep(3.2e7), ('x'):rep(16000), {} for i = 1, 4800 do t[i] = x:lower() end error(m, 0)",
    NO_MEMORY,
  ],
  ["string.rep('x', 1e9)", TOO_LARGE],
  ["io.open('/dev/zero'):read('*a')", NO_MEMORY],
  ["io.open('/dev/zero'):read('*l')", NO_MEMORY],
  ["io.open('/dev/zero'):read(2^30)", NO_MEMORY],
  ["for l in io.lines('/dev/zero') do end", NO_MEMORY],
  [
    "local t = {} for i = 1, 1e6 do t[i] = i + 0.5 end load('return {' .. table.concat(t, ',') .. '}')",
    EITHER,
  ],
];

describe("a script that goes wrong", () => {
  let hosts: TestHosts;
  let host: ScriptHost;
  beforeAll(() => {
    hosts = new TestHosts();
  });
  afterEach(() => hosts.stopAll());
  afterAll(() => hosts[Symbol.dispose]());

  for (const [body, error] of cases)
    it(body, { timeout: 60_000 }, async () => {
      // Handlers that are to be stopped have a smaller budget, so that this happens sooner.
      const more = error === STOPPED ? { instructions: 5_000_000 } : {};
      host = await hosts.start(handler(`if cgroup.report < 3 then ${body} end`), more);
      const { pid } = host;
      // If memory ran out, a second run shows whether the memory of the first is free again.
      for (const report of error === NO_MEMORY ? [1, 2] : [1]) {
        const outcome = await account(host, { report });
        if (error === undefined) expect(outcome).toEqual({ type: "done" });
        else
          expect(outcome).toMatchObject({ type: "failed", message: expect.stringMatching(error) });
      }
      expect(await account(host, { report: 3 })).toEqual({ type: "done" });
      expect(host.pid).toBe(pid);
    });

  describe.skipIf(missing("postgres") !== undefined)("with a database", () => {
    it("gets no result that is larger than its memory", { timeout: 60_000 }, async () => {
      const server = await Postgres.start();
      try {
        const large = "select repeat('x', 1000) from generate_series(1, 150000)";
        host = await hosts.start(`db = pg:new('${server.conninfo}')
          ${handler(`assert(db:execute(cgroup.report < 3 and [[${large}]] or 'select 1'))`)}`);
        const { pid } = host;
        for (const report of [1, 2]) {
          // The server has executed the statement, so it has taken effect.
          expect(await account(host, { report })).toMatchObject({
            type: "failed",
            message: expect.stringMatching(NO_MEMORY),
            effect: "taken",
            cause: "script",
          });
        }
        expect(await account(host, { report: 3 })).toEqual({ type: "done" });
        expect(host.pid).toBe(pid);
      } finally {
        await hosts.stopAll();
        await server.stop();
      }
    });
  });
});
