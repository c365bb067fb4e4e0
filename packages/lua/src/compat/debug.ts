/**
 * The `debug` library, without hooks: a Lua state has only one hook, and the script host needs it
 * to count instructions.
 */
import type { DebugInfo, LuaClosure } from "fengari/src/types";
import {
  argumentError,
  type LuaFunction,
  type LuaState,
  lauxlib,
  lua,
  optText,
  pushLibrary,
  pushValue,
  raise,
  setLibrary,
  toBytes,
} from "../lua.ts";

import { spend } from "./budget.ts";
import { debugEnvironment } from "./environment.ts";
import { GLOBALS } from "./globals.ts";
import { truncate } from "./numbers.ts";

/** Returns the thread in argument 1, or else the current one, and the next argument's index. */
function threadArgument(L: LuaState): { thread: LuaState; first: number } {
  const thread = lua.lua_type(L, 1) === lua.LUA_TTHREAD ? lua.lua_tothread(L, 1) : null;
  return thread === null ? { thread: L, first: 1 } : { thread, first: 2 };
}

function traceback(L: LuaState): number {
  const { thread, first } = threadArgument(L);
  const type = lua.lua_type(L, first);
  if (type >= lua.LUA_TNIL && type !== lua.LUA_TSTRING && type !== lua.LUA_TNUMBER) {
    lua.lua_pushvalue(L, first);
    return 1;
  }
  // luaL_traceback visits all frames several times. The top of the stack shows roughly how many
  // frames there are.
  spend(L, 100 + thread.top);
  const message = optText(L, first, undefined);
  const level = lauxlib.luaL_optinteger(L, first + 1, thread === L ? 1 : 0);
  lauxlib.luaL_traceback(L, thread, message === undefined ? null : toBytes(message), level);
  return 1;
}

function getinfo(L: LuaState): number {
  const { thread, first } = threadArgument(L);
  const what = optText(L, first + 1, "flnSu");
  const ar = new lua.lua_Debug();
  let prefix = "";
  if (lua.lua_type(L, first) === lua.LUA_TFUNCTION) {
    prefix = ">";
    lua.lua_pushvalue(L, first);
    lua.lua_xmove(L, thread, 1);
  } else {
    const level = lua.lua_tonumberx(L, first);
    if (level === false) return argumentError(L, first, "function or level expected");
    if (level < 0 || lua.lua_getstack(thread, truncate(level), ar) === 0) {
      lua.lua_pushnil(L);
      return 1;
    }
  }
  const withoutStack = what.replace(/[fL]/g, "");
  const lines = what.includes("L") ? activeLines(L, thread, ar, prefix) : undefined;
  const function_ = what.includes("f");
  if (function_ && prefix === ">") lua.lua_pushvalue(thread, -1);
  if (lua.lua_getinfo(thread, toBytes(prefix + withoutStack), ar) === 0)
    return argumentError(L, first + 1, "invalid option");
  if (function_ && prefix === "") lua.lua_getinfo(thread, toBytes("f"), ar);
  if (function_) lua.lua_xmove(thread, L, 1);
  lua.lua_newtable(L);
  const text = (bytes: Uint8Array | null) =>
    bytes === null ? undefined : Buffer.from(bytes).toString("latin1");
  if (what.includes("S")) {
    setField(L, "source", text(ar.source));
    setField(L, "short_src", text(ar.short_src));
    setField(L, "linedefined", ar.linedefined);
    setField(L, "lastlinedefined", ar.lastlinedefined);
    setField(L, "what", text(ar.what));
  }
  if (what.includes("l")) setField(L, "currentline", ar.currentline);
  if (what.includes("u")) setField(L, "nups", ar.nups);
  if (what.includes("n")) {
    setField(L, "name", text(ar.name));
    setField(L, "namewhat", text(ar.namewhat));
  }
  if (function_) {
    lua.lua_pushvalue(L, -2);
    lua.lua_setfield(L, -2, toBytes("func"));
  }
  if (lines !== undefined) {
    lua.lua_newtable(L);
    for (const line of lines) {
      lua.lua_pushboolean(L, true);
      lua.lua_rawseti(L, -2, line);
    }
    lua.lua_setfield(L, -2, toBytes("activelines"));
  }
  return 1;
}

/** Returns the lines of a function that have code; undefined if it is not written in Lua. */
function activeLines(
  L: LuaState,
  thread: LuaState,
  ar: DebugInfo,
  prefix: string,
): number[] | undefined {
  if (prefix === ">") lua.lua_pushvalue(thread, -1);
  else lua.lua_getinfo(thread, toBytes("f"), ar);
  const isLua = !lua.lua_iscfunction(thread, -1);
  const closure = lua.lua_topointer(thread, -1) as LuaClosure;
  lua.lua_pop(thread, 1);
  if (!isLua) return undefined;
  lauxlib.luaL_checkstack(L, 4, null);
  spend(L, closure.p.lineinfo.length);
  return [...new Set(closure.p.lineinfo)];
}

function setField(L: LuaState, name: string, value: string | number | undefined): void {
  pushValue(L, value);
  lua.lua_setfield(L, -2, toBytes(name));
}

function getlocal(L: LuaState): number {
  const { thread, first } = threadArgument(L);
  const ar = new lua.lua_Debug();
  if (lua.lua_getstack(thread, lauxlib.luaL_checkinteger(L, first), ar) === 0)
    return argumentError(L, first, "level out of range");
  const name = lua.lua_getlocal(thread, ar, lauxlib.luaL_checkinteger(L, first + 1));
  if (name === null) {
    lua.lua_pushnil(L);
    return 1;
  }
  lua.lua_xmove(thread, L, 1);
  lua.lua_pushstring(L, name);
  lua.lua_insert(L, -2);
  return 2;
}

function setlocal(L: LuaState): number {
  const { thread, first } = threadArgument(L);
  const ar = new lua.lua_Debug();
  if (lua.lua_getstack(thread, lauxlib.luaL_checkinteger(L, first), ar) === 0)
    return argumentError(L, first, "level out of range");
  lua.lua_settop(L, first + 2);
  lua.lua_xmove(L, thread, 1);
  const name = lua.lua_setlocal(thread, ar, lauxlib.luaL_checkinteger(L, first + 1));
  if (name === null) lua.lua_pushnil(L);
  else lua.lua_pushstring(L, name);
  return 1;
}

const GLOBALS_NAME = toBytes(GLOBALS);

/**
 * Returns the number that the `n`th upvalue of a function has in fengari, where the globals are an
 * upvalue, too: in LuaJIT they are not, so scripts do not count them. If the function has fewer
 * than `n` upvalues, returns a number that no upvalue has.
 */
function upvalueNumber(L: LuaState, function_: number, n: number): number {
  for (let number = 1, seen = 0; ; number++) {
    const name = lua.lua_getupvalue(L, function_, number);
    if (name === null) return number;
    lua.lua_pop(L, 1);
    if (Buffer.compare(name, GLOBALS_NAME) !== 0 && ++seen === n) return number;
  }
}

function getupvalue(L: LuaState): number {
  lauxlib.luaL_checktype(L, 1, lua.LUA_TFUNCTION);
  const n = upvalueNumber(L, 1, lauxlib.luaL_checkinteger(L, 2));
  const name = lua.lua_getupvalue(L, 1, n);
  if (name === null) return 0;
  lua.lua_pushstring(L, name);
  lua.lua_insert(L, -2);
  return 2;
}

function setupvalue(L: LuaState): number {
  lauxlib.luaL_checktype(L, 1, lua.LUA_TFUNCTION);
  lauxlib.luaL_checkany(L, 3);
  lua.lua_settop(L, 3);
  const n = upvalueNumber(L, 1, lauxlib.luaL_checkinteger(L, 2));
  const name = lua.lua_setupvalue(L, 1, n);
  if (name === null) return 0;
  lua.lua_pushstring(L, name);
  return 1;
}

function checkUpvalue(L: LuaState, function_: number, index: number): number {
  const wanted = lauxlib.luaL_checkinteger(L, index);
  lauxlib.luaL_checktype(L, function_, lua.LUA_TFUNCTION);
  if (lua.lua_iscfunction(L, function_)) argumentError(L, function_, "Lua function expected");
  const n = upvalueNumber(L, function_, wanted);
  if (lua.lua_getupvalue(L, function_, n) === null)
    argumentError(L, index, "invalid upvalue index");
  lua.lua_pop(L, 1);
  return n;
}

function upvalueid(L: LuaState): number {
  lua.lua_pushlightuserdata(L, lua.lua_upvalueid(L, 1, checkUpvalue(L, 1, 2)));
  return 1;
}

function upvaluejoin(L: LuaState): number {
  lua.lua_upvaluejoin(L, 1, checkUpvalue(L, 1, 2), 3, checkUpvalue(L, 3, 4));
  return 0;
}

function getmetatable(L: LuaState): number {
  lauxlib.luaL_checkany(L, 1);
  if (!lua.lua_getmetatable(L, 1)) lua.lua_pushnil(L);
  return 1;
}

function setmetatable(L: LuaState): number {
  lua.lua_settop(L, 2);
  lua.lua_setmetatable(L, 1);
  return 1;
}

function getregistry(L: LuaState): number {
  lua.lua_pushvalue(L, lua.LUA_REGISTRYINDEX);
  return 1;
}

function gethook(L: LuaState): number {
  lua.lua_pushnil(L);
  lua.lua_pushstring(L, toBytes(""));
  lua.lua_pushnumber(L, 0);
  return 3;
}

function sethook(L: LuaState): number {
  // Without a function, sethook removes the script's hook, and a script has none.
  if (lua.lua_isnoneornil(L, 1)) return 0;
  return raise(
    L,
    "debug.sethook is not available: the script host counts instructions with the hook",
  );
}

function debug(L: LuaState): number {
  return raise(L, "debug.debug is not available: the script host has no terminal");
}

/** Adds the library `debug` with the functions that LuaJIT has. */
export function openDebug(L: LuaState): void {
  pushLibrary(L, {
    debug,
    gethook,
    getinfo,
    getlocal,
    getmetatable,
    getregistry,
    getupvalue,
    sethook,
    setlocal,
    setmetatable,
    setupvalue,
    traceback,
    upvalueid,
    upvaluejoin,
    ...debugEnvironment,
  } satisfies Record<string, LuaFunction>);
  setLibrary(L, "debug");
}
