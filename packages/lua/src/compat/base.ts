/** The global functions of LuaJIT that differ from those of Lua 5.3. */
import { getHeapStatistics } from "node:v8";
import lbaselib from "fengari/src/lbaselib.js";
import {
  argumentError,
  checkResults,
  checkText,
  fromBytes,
  type LuaFunction,
  type LuaState,
  lauxlib,
  lua,
  pushText,
  raise,
  setFunctions,
  toBytes,
  toText,
} from "../lua.ts";
import { spend } from "./budget.ts";
import { loadFunctions } from "./load.ts";
import { digitsToNumber, trimBlanks } from "./numbers.ts";
import { type LineOutput, mayLoseOutput } from "./output.ts";

function print(output: LineOutput) {
  return (L: LuaState): number => {
    const texts: string[] = [];
    for (let i = 1, n = lua.lua_gettop(L); i <= n; i++) {
      lua.lua_getglobal(L, toBytes("tostring"));
      lua.lua_pushvalue(L, i);
      lua.lua_call(L, 1, 1);
      const text = lua.lua_tolstring(L, -1);
      if (text === null) return raise(L, "'tostring' must return a string to 'print'");
      texts.push(fromBytes(text));
      lua.lua_pop(L, 1);
    }
    mayLoseOutput(() => output.write(`${texts.join("\t")}\n`));
    return 0;
  };
}

function tonumber(L: LuaState): number {
  const base = lauxlib.luaL_optinteger(L, 2, 10);
  if (base === 10) {
    lauxlib.luaL_checkany(L, 1);
    const type = lua.lua_type(L, 1);
    const n =
      type === lua.LUA_TNUMBER || type === lua.LUA_TSTRING ? lua.lua_tonumberx(L, 1) : false;
    if (n === false) lua.lua_pushnil(L);
    else lua.lua_pushnumber(L, n);
    return 1;
  }
  const text = checkText(L, 1);
  if (base < 2 || base > 36) argumentError(L, 2, "base out of range");
  const n = textToNumberInBase(text, base);
  if (n === undefined) lua.lua_pushnil(L);
  else lua.lua_pushnumber(L, n);
  return 1;
}

function textToNumberInBase(text: string, base: number): number | undefined {
  const hex = base === 16 ? "(?:0[xX])?" : "";
  const match = new RegExp(`^([+-]?)${hex}([0-9a-zA-Z]+)$`).exec(trimBlanks(text));
  if (match?.[2] === undefined) return undefined;
  const value = digitsToNumber(match[2], base);
  return value !== undefined && match[1] === "-" ? -value : value;
}

/** Accepts Lua's options, but controls nothing: V8 decides when to collect. */
function collectgarbage(L: LuaState): number {
  const option = lua.lua_isnoneornil(L, 1) ? "collect" : checkText(L, 1);
  switch (option) {
    case "collect":
    case "stop":
    case "restart":
      lua.lua_pushnumber(L, 0);
      return 1;
    case "count":
      lua.lua_pushnumber(L, getHeapStatistics().used_heap_size / 1024);
      return 1;
    case "step":
    case "isrunning":
      lua.lua_pushboolean(L, option === "isrunning");
      return 1;
    case "setpause":
    case "setstepmul":
      lua.lua_pushnumber(L, 200);
      return 1;
    default:
      return argumentError(L, 1, `invalid option '${option}'`);
  }
}

function gcinfo(L: LuaState): number {
  lua.lua_pushnumber(L, Math.floor(getHeapStatistics().used_heap_size / 1024));
  return 1;
}

/**
 * Pushes the elements of a list: `unpack` of Lua 5.1, with LuaJIT's message if there are too
 * many.
 */
export function unpack(L: LuaState): number {
  lauxlib.luaL_checktype(L, 1, lua.LUA_TTABLE);
  const first = lauxlib.luaL_optinteger(L, 2, 1);
  const last = lua.lua_isnoneornil(L, 3) ? lua.lua_rawlen(L, 1) : lauxlib.luaL_checkinteger(L, 3);
  const count = Math.max(last - first + 1, 0);
  if (!checkResults(L, count)) return raise(L, "too many results to unpack");
  spend(L, count);
  for (let i = first; i <= last; i++) lua.lua_rawgeti(L, 1, i);
  return count;
}

/** Returns a userdata without contents, which scripts use for its metatable. */
function newproxy(L: LuaState): number {
  lua.lua_settop(L, 1);
  const type = lua.lua_type(L, 1);
  lua.lua_newuserdata(L);
  if (type === lua.LUA_TUSERDATA && lua.lua_getmetatable(L, 1)) {
    lua.lua_setmetatable(L, -2);
  } else if (type === lua.LUA_TBOOLEAN && lua.lua_toboolean(L, 1)) {
    lua.lua_newtable(L);
    lua.lua_setmetatable(L, -2);
  } else if (type > lua.LUA_TNIL && type !== lua.LUA_TBOOLEAN) {
    argumentError(L, 1, "boolean or proxy expected");
  }
  return 1;
}

/** Accepts any value as the function, as LuaJIT does; calling the value may then fail. */
function xpcall(L: LuaState): number {
  const n = lua.lua_gettop(L);
  lauxlib.luaL_checktype(L, 2, lua.LUA_TFUNCTION);
  lua.lua_pushboolean(L, true);
  lua.lua_pushvalue(L, 1);
  lua.lua_rotate(L, 3, 2);
  const status = lua.lua_pcallk(L, n - 2, lua.LUA_MULTRET, 2, undefined, finishXpcall);
  return finishXpcall(L, status);
}

function finishXpcall(L: LuaState, status: number): number {
  if (status === lua.LUA_OK || status === lua.LUA_YIELD) return lua.lua_gettop(L) - 2;
  lua.lua_pushboolean(L, false);
  lua.lua_pushvalue(L, -2);
  return 2;
}

/** Adds the caller's position to a message that is a string; raises other values as they are. */
function assert(L: LuaState): number {
  lauxlib.luaL_checkany(L, 1);
  if (lua.lua_toboolean(L, 1)) return lua.lua_gettop(L);
  if (lua.lua_isnoneornil(L, 2)) return raise(L, "assertion failed!");
  const message = toText(L, 2);
  if (message !== undefined) return raise(L, message);
  lua.lua_settop(L, 2);
  return lua.lua_error(L);
}

function error(L: LuaState): number {
  const level = lauxlib.luaL_optinteger(L, 2, 1);
  const message = toText(L, 1);
  lua.lua_settop(L, 1);
  if (message === undefined || level <= 0) return lua.lua_error(L);
  lauxlib.luaL_where(L, level);
  pushText(L, (toText(L, -1) ?? "") + message);
  return lua.lua_error(L);
}

/** Returns a value as text, as `print` shows it; `__tostring` may return anything. */
function tostring(L: LuaState): number {
  lauxlib.luaL_checkany(L, 1);
  if (lua.lua_type(L, 1) !== lua.LUA_TSTRING) {
    if (callTostring(L, 1)) return 1;
    if (lua.lua_iscfunction(L, 1)) pushText(L, `function: builtin#${numberOf(L)}`);
    else lauxlib.luaL_tolstring(L, 1);
  } else lua.lua_settop(L, 1);
  return 1;
}

/**
 * Numbers of library functions, in the order in which they were first shown. Some scripts
 * recognise LuaJIT by the form `function: builtin#N`.
 */
const numbers = new WeakMap<object, number>();
let lastNumber = 0;

function numberOf(L: LuaState): number {
  const fn = lua.lua_topointer(L, 1) as object;
  const number = numbers.get(fn) ?? ++lastNumber;
  numbers.set(fn, number);
  return number;
}

/** Pushes the result of the metamethod `__tostring` of a value; returns false if it has none. */
export function callTostring(L: LuaState, index: number): boolean {
  if (lauxlib.luaL_getmetafield(L, index, toBytes("__tostring")) === lua.LUA_TNIL) return false;
  lua.lua_pushvalue(L, index);
  lua.lua_call(L, 1, 1);
  return true;
}

function ipairs(L: LuaState): number {
  lauxlib.luaL_checkany(L, 1);
  lauxlib.luaL_checktype(L, 1, lua.LUA_TTABLE);
  lua.lua_pushcfunction(L, nextIndex);
  lua.lua_pushvalue(L, 1);
  lua.lua_pushnumber(L, 0);
  return 3;
}

function nextIndex(L: LuaState): number {
  const i = lua.lua_tonumber(L, 2) + 1;
  lua.lua_pushnumber(L, i);
  return lua.lua_rawgeti(L, 1, i) === lua.LUA_TNIL ? 0 : 2;
}

/** Makes a `pairs` that accepts only tables; fengari's accepts any value. */
function pairs(next: LuaFunction): LuaFunction {
  return (L) => {
    lauxlib.luaL_checkany(L, 1);
    lauxlib.luaL_checktype(L, 1, lua.LUA_TTABLE);
    lua.lua_pushcfunction(L, next);
    lua.lua_pushvalue(L, 1);
    lua.lua_pushnil(L);
    return 3;
  };
}

/** Adds the basic functions of Lua 5.1 to the globals. @param output where `print` writes */
export function openBase(L: LuaState, output: LineOutput): void {
  lua.lua_pushcfunction(L, lbaselib.luaopen_base);
  lua.lua_call(L, 0, 1);
  lua.lua_pushnil(L);
  lua.lua_setfield(L, -2, toBytes("rawlen"));
  pushText(L, "Lua 5.1");
  lua.lua_setfield(L, -2, toBytes("_VERSION"));
  lua.lua_getfield(L, -1, toBytes("next"));
  const next = lua.lua_tocfunction(L, -1);
  lua.lua_pop(L, 1);
  setFunctions(L, {
    assert,
    collectgarbage,
    error,
    gcinfo,
    ipairs,
    newproxy,
    pairs: pairs(next),
    print: print(output),
    tonumber,
    tostring,
    unpack,
    xpcall,
    ...loadFunctions,
  });
  lauxlib.luaL_getsubtable(L, lua.LUA_REGISTRYINDEX, toBytes("_LOADED"));
  lua.lua_pushvalue(L, -2);
  lua.lua_setfield(L, -2, toBytes("_G"));
  lua.lua_pop(L, 2);
}
