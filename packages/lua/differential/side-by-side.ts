/** Runs the same Lua code in LuaJIT and in our interpreter. */
import { spawnSync } from "node:child_process";
import { LineOutput, newState } from "../src/compat/index.ts";
import { loadFile } from "../src/compat/load.ts";
import { fromBytes, type LuaFunction, lua, toBytes } from "../src/lua.ts";

/**
 * Runs a program in LuaJIT, and returns what it prints. The environment variable LUAJIT may name
 * LuaJIT's executable.
 * @throws Error if the program fails
 */
export function printedByLuajit(program: string, ...args: string[]): string {
  const { stdout, stderr, status, error } = spawnSync(
    process.env["LUAJIT"] ?? "luajit",
    [program, ...args],
    { encoding: "latin1", maxBuffer: 1024 ** 3, timeout: 300_000 },
  );
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`luajit ${program}: exit status ${status}: ${stderr}`);
  return stdout;
}

/**
 * Runs a program in a new Lua state of this process, and returns what it prints.
 * @param globals further global functions
 * @throws Error if the program fails
 */
export function printedByUs(
  program: string,
  args: string[],
  globals: Record<string, LuaFunction> = {},
): string {
  const printed: string[] = [];
  const L = newState({ output: new LineOutput((text) => printed.push(text)) });
  lua.lua_newtable(L);
  for (const [i, arg] of args.entries()) {
    lua.lua_pushstring(L, toBytes(arg));
    lua.lua_rawseti(L, -2, i + 1);
  }
  lua.lua_setglobal(L, toBytes("arg"));
  for (const [name, fn] of Object.entries(globals)) {
    lua.lua_pushcfunction(L, fn);
    lua.lua_setglobal(L, toBytes(name));
  }
  if (loadFile(L, program) !== lua.LUA_OK || lua.lua_pcall(L, 0, 0, 0) !== lua.LUA_OK)
    throw new Error(fromBytes(lua.lua_tolstring(L, -1) ?? new Uint8Array()));
  return printed.join("");
}

/**
 * Returns a generator of pseudorandom numbers, at least 0 and less than 1. They are the same for
 * the same seed, so that failures can be reproduced.
 */
export function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
