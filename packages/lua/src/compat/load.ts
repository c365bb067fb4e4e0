/** Loading code: from strings, functions and files. */
import { readFileSync } from "node:fs";
import {
  fromBytes,
  type LuaFunction,
  type LuaState,
  lauxlib,
  lua,
  optText,
  pushText,
  raise,
  toBytes,
  toText,
} from "../lua.ts";
import { systemErrorText } from "./system-error.ts";

/** Pushes the chunk as a function; on a mistake, its message. Returns Lua's status. */
export function loadChunk(L: LuaState, code: string, name: string): number {
  if (code.startsWith("\x1bL")) {
    pushText(L, `${name.slice(1)}: precompiled code cannot be loaded, only source`);
    return 1;
  }
  const bytes = toBytes(code);
  return lauxlib.luaL_loadbufferx(L, bytes, bytes.length, toBytes(name), toBytes("t"));
}

/** As loadChunk, of a file; a first line that begins with `#` is skipped. */
export function loadFile(L: LuaState, path: string): number {
  let code: string;
  try {
    code = readFileSync(Buffer.from(path, "latin1")).toString("latin1");
  } catch (error) {
    pushText(L, `cannot open ${path}: ${systemErrorText(error)}`);
    return 1;
  }
  return loadChunk(L, code.replace(/^#[^\n]*/, ""), `@${path}`);
}

function finishLoad(L: LuaState, status: number, environment: number): number {
  if (status !== lua.LUA_OK) {
    lua.lua_pushnil(L);
    lua.lua_insert(L, -2);
    return 2;
  }
  if (environment !== 0) {
    lua.lua_pushvalue(L, environment);
    if (lua.lua_setupvalue(L, -2, 1) === null) lua.lua_pop(L, 1);
  }
  return 1;
}

function load(L: LuaState): number {
  const environment = lua.lua_type(L, 4) === lua.LUA_TNONE ? 0 : 4;
  const code = toText(L, 1);
  if (code !== undefined) {
    return finishLoad(L, loadChunk(L, code, optText(L, 2, code)), environment);
  }
  lauxlib.luaL_checktype(L, 1, lua.LUA_TFUNCTION);
  const name = optText(L, 2, "=(load)");
  let parts = "";
  for (;;) {
    lua.lua_pushvalue(L, 1);
    lua.lua_call(L, 0, 1);
    if (lua.lua_type(L, -1) === lua.LUA_TNIL) break;
    const part = lua.lua_tolstring(L, -1);
    if (part === null) return raise(L, "reader function must return a string");
    if (part.length === 0) break;
    parts += fromBytes(part);
    lua.lua_pop(L, 1);
  }
  return finishLoad(L, loadChunk(L, parts, name), environment);
}

function loadfile(L: LuaState): number {
  const environment = lua.lua_type(L, 3) === lua.LUA_TNONE ? 0 : 3;
  return finishLoad(L, loadFile(L, optText(L, 1, "/dev/stdin")), environment);
}

function dofile(L: LuaState): number {
  const path = optText(L, 1, "/dev/stdin");
  lua.lua_settop(L, 1);
  if (loadFile(L, path) !== lua.LUA_OK) return lua.lua_error(L);
  lua.lua_callk(L, 0, lua.LUA_MULTRET, undefined, finishDofile);
  return finishDofile(L);
}

function finishDofile(L: LuaState): number {
  return lua.lua_gettop(L) - 1;
}

export const loadFunctions: Record<string, LuaFunction> = {
  load,
  loadstring: load,
  loadfile,
  dofile,
};
