/** The same snippets in LuaJIT and here: what they return and print has to be the same. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { afterAll, describe, expect, it } from "vitest";
import { LineOutput, newState } from "../src/compat/index.ts";
import { loadFile } from "../src/compat/load.ts";
import { fromBytes, lua, toBytes } from "../src/lua.ts";

const directory = import.meta.dirname;
const driver = join(directory, "driver.lua");
const snippets = join(directory, "snippets");
const scratch = mkdtempSync(join(tmpdir(), "lua-differential-"));
afterAll(() => rmSync(scratch, { recursive: true }));

function ours(file: string): string {
  let printed = "";
  const L = newState({
    output: new LineOutput((text) => {
      printed += text;
    }),
  });
  lua.lua_newtable(L);
  lua.lua_pushstring(L, toBytes(file));
  lua.lua_rawseti(L, -2, 1);
  lua.lua_setglobal(L, toBytes("arg"));
  if (loadFile(L, driver) !== lua.LUA_OK || lua.lua_pcall(L, 0, 0, 0) !== lua.LUA_OK)
    throw new Error(fromBytes(lua.lua_tolstring(L, -1) ?? new Uint8Array()));
  return comparable(printed);
}

function luajits(file: string): string {
  const { stdout, stderr, status } = spawnSync("luajit", [driver, file], { encoding: "latin1" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return comparable(stdout);
}

/** LuaJIT does not know the name of a library function that `pcall` calls; we do. */
function comparable(output: string): string {
  return output.replace(/"(?:snippet:\d+: )?(bad argument #\d+) to '[^']*'/g, "\"$1 to '?'");
}

describe.skipIf(missing("luajit") !== undefined)("as LuaJIT", () => {
  for (const name of readdirSync(snippets)) {
    it(name, () => {
      const file = join(snippets, name);
      expect(readFileSync(file, "utf8").split("\n").length).toBeGreaterThan(5);
      expect(ours(file)).toBe(luajits(file));
    });
  }

  it("writes and reads 500 numbers of all sizes", () => {
    // A fixed sequence: a failure must come again.
    let state = 42;
    const random = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const lines: string[] = [];
    for (let i = 0; i < 500; i++) {
      const n = (random() - 0.5) * 10 ** Math.floor(random() * 40 - 15);
      const text = (i % 3 === 0 ? Math.trunc(n) : n).toPrecision(17);
      lines.push(
        `${text}, ("%d|%x|%g|%.3f|%e|%.10g|%12.2f"):format(${text}, ${text}, ${text}, ${text}, ` +
          `${text}, ${text}, ${text}), tonumber("${text}"), ${text} % 7, bit.tobit(${text} % 2^40)`,
      );
    }
    const file = join(scratch, "numbers.txt");
    writeFileSync(file, lines.join("\n"));
    expect(ours(file)).toBe(luajits(file));
  });
});
