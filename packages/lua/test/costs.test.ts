/** What the work of libraries costs a handler, in instructions: the same on all machines. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { budget } from "../src/compat/budget.ts";
import { LuaString } from "../src/compat/lua-string.ts";
import { openLibraries } from "../src/libs/index.ts";
import { lua, toBytes } from "../src/lua.ts";
import { type Open, printedBy } from "./script.ts";

/** Gives scripts all libraries, and a function that returns how many instructions are left. */
const open: Open = (L, runtime) => {
  openLibraries(L, runtime);
  lua.lua_pushcfunction(L, (caller) => {
    lua.lua_pushnumber(caller, budget.left);
    return 1;
  });
  lua.lua_setglobal(L, toBytes("left"));
};

/** Returns the lines that `body` prints; it can call `cost`. */
async function printed(body: string): Promise<string[]> {
  const cost = `
    local function cost(f, ...)
      local before = left()
      pcall(f, ...)
      return before - left()
    end `;
  return (await printedBy(cost + body, { open, instructions: 1e9 })).split("\n");
}

/** The functions that read no string, whatever they are given. */
const READ_NONE = [
  ...["assert", "gcinfo", "getmetatable", "ipairs", "newproxy", "pairs", "pcall", "rawequal"],
  ...["setfenv", "setmetatable", "tostring", "type", "xpcall"],
  ...["debug.debug", "debug.getfenv", "debug.gethook", "debug.getmetatable", "debug.getregistry"],
  ...["debug.getupvalue", "debug.setfenv", "debug.sethook", "debug.setupvalue"],
  ...["io.close", "io.flush", "io.tmpfile", "io.type", "os.clock", "os.time"],
  ...["string.dump", "string.len"],
  ...["table.foreach", "table.foreachi", "table.getn", "table.maxn", "table.sort"],
];

describe("the functions of the libraries", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it("have a cost that grows with the length of a string that they are given", async () => {
    const names = await printed(`
      local long = ("x"):rep(2^18)
      local libraries = { ["bit."] = bit, ["debug."] = debug, ["io."] = io, ["math."] = math,
        ["os."] = os, ["pg."] = pg, ["sodium."] = sodium, ["string."] = string,
        ["table."] = table, [""] = _G }
      -- Functions of fixed arity do nothing with other arguments than these.
      local public, secret = sodium.crypto_box_keypair()
      local signer, signing = sodium.crypto_sign_keypair()
      local proper = {
        ["pg.decode_array"] = { pg, "{" .. long .. "}" },
        ["pg.encode_array"] = { pg, { long } },
        ["pg.new"] = { pg, long, long },
        ["sodium.bin2hex"] = { long },
        ["sodium.crypto_box_keypair"] = {},
        ["sodium.crypto_box_seal"] = { long, public },
        ["sodium.crypto_box_seal_open"] = { long, public, secret },
        ["sodium.crypto_scalarmult_base"] = { secret },
        ["sodium.crypto_sign_detached"] = { long, signing },
        ["sodium.crypto_sign_keypair"] = {},
        ["sodium.crypto_sign_verify_detached"] = { ("x"):rep(64), long, signer },
        ["sodium.hex2bin"] = { ("0"):rep(#long) },
        ["sodium.randombytes"] = { #long },
      }
      local functions = {}
      for library, t in pairs(libraries) do
        for name, f in pairs(t) do
          if type(f) == "function" then functions[library .. name] = f end
        end
      end
      -- These wait, end the process, write, or change what the others need.
      for _, name in ipairs { "cgroup_released", "control_resolve", "debug.setmetatable",
        "io.input", "io.output", "io.popen", "io.read", "io.write", "left", "module",
        "os.execute", "os.exit", "os.remove", "os.rename", "os.tmpname", "print", "require" } do
        assert(functions[name])
        functions[name] = nil
      end
      local free = {}
      for name, f in pairs(functions) do
        local arguments, dearest = proper[name]
        if arguments then
          local before = left()
          f(unpack(arguments))
          dearest = before - left()
        else
          assert(not name:find("^pg") and not name:find("^sodium"), name)
          dearest = math.max(cost(f, long, long, long, long), cost(f, {}, long, long))
        end
        proper[name] = nil
        if dearest < #long / 64 then free[#free + 1] = name end
      end
      assert(not next(proper))
      table.sort(free)
      for _, name in ipairs(free) do print(name) end
    `);
    expect(names).toEqual([...READ_NONE.toSorted(), ""]);
  });

  it.each(["a == b", "a < b", "a <= b", "t[a]", "a + 1", "-a", "a .. b", "rawequal(a, b)"])(
    "and operators have a cost that grows with the length of their operands: %s",
    async (expression) => {
      const [cost] = await printed(`
        local a, b, t = ("x"):rep(2^18), ("x"):rep(2^18 - 1) .. "y", {}
        -- A concatenation is carried out at its first use, and that costs, too.
        b:byte()
        print(cost(function() return ${expression} end))
      `);
      expect(Number(cost)).toBeGreaterThan(2 ** 18 / 64);
    },
  );

  it.each([
    "local first, last = s:find('^%d+', p) n = tonumber(s:sub(first, last)) p = last + 2",
    "local last = s:find(',', p, true) n = s:sub(p, last - 1) + 1 p = last + 1",
    "n = s:match('^%d+', p) p = p + #n + 1",
    "n = s:byte(p) p = p + 1",
    // As dkjson reads a token.
    "p = select(2, s:find('^[ \\n\\r\\t]*', p)) + 1 local c = s:sub(p, p) local _, last = s:find('^-?[%d%.]+', p) n = s:sub(p, last) p = last + 2",
  ])("go through a string at a cost in proportion to its length: %s", async (step) => {
    const [once, twice] = await printed(`
      local function scan(s)
        local p, n = 1
        while p <= #s do ${step} end
      end
      for i = 1, 2 do print(cost(scan, ("12345,"):rep(7000 * i))) end
    `);
    expect(Number(once)).toBeGreaterThan(7000);
    expect(Number(twice) / Number(once)).toBeLessThan(2.1);
  });

  it("do not copy a string that is used as a number, as a key or in a comparison", async () => {
    const getstr = vi.spyOn(LuaString.prototype, "getstr");
    await printed(`
      local long = ("7"):rep(2^16)
      local t = { [long] = 1 }
      assert(tonumber(long) == 1/0 and math.abs(long) == 1/0 and tonumber(long, 16) == 1/0)
      assert(t[long] == 1 and long < "8" and long == ("7"):rep(2^16) and #long == 2^16)
    `);
    const { length } = getstr.mock.contexts.filter(
      (string) => string instanceof LuaString && string.length > 4096,
    );
    expect(length).toBe(0);
  });
});
