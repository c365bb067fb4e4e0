/** getfenv and setfenv, which read and set the upvalue through which functions see globals. */
import lobject from "fengari/src/lobject.js";
import type { LuaClosure } from "fengari/src/types";
import {
  argumentError,
  type LuaState,
  lauxlib,
  lua,
  raise,
  setFunctions,
  toBytes,
  typeName,
} from "../lua.ts";
import { GLOBALS } from "./globals.ts";

const LUA_TTABLE = 5;
const GLOBALS_NAME = Buffer.from(GLOBALS);

/** The environments of functions that use no globals, and so have no upvalue for them. */
const withoutUpvalue = new WeakMap<object, unknown>();

/** Pushes the function in argument 1, or the caller at the level in argument 1. */
function pushFunction(L: LuaState, optional: boolean): void {
  if (lua.lua_type(L, 1) === lua.LUA_TFUNCTION) {
    lua.lua_pushvalue(L, 1);
    return;
  }
  if (lua.lua_tonumberx(L, 1) === false && !(optional && lua.lua_isnoneornil(L, 1)))
    argumentError(
      L,
      1,
      `number expected, got ${lua.lua_type(L, 1) === lua.LUA_TNONE ? "no value" : typeName(L, 1)}`,
    );
  const level = lauxlib.luaL_optinteger(L, 1, 1);
  if (level < 0) argumentError(L, 1, "invalid level");
  const ar = new lua.lua_Debug();
  if (lua.lua_getstack(L, level, ar) === 0) argumentError(L, 1, "invalid level");
  lua.lua_getinfo(L, toBytes("f"), ar);
}

/** The tables of globals of those coroutines that do not use the main thread's table. */
const ofThreads = new WeakMap<LuaState, unknown>();

/** Sets the table of globals for code that is loaded in the thread from now on. */
function setThreadEnvironment(L: LuaState, thread: LuaState, table: unknown): void {
  if (thread !== L.l_G.mainthread) {
    ofThreads.set(thread, table);
    return;
  }
  pushTable(L, table);
  lua.lua_rawseti(L, lua.LUA_REGISTRYINDEX, lua.LUA_RIDX_GLOBALS);
}

function pushThreadEnvironment(L: LuaState, thread: LuaState): void {
  const own = ofThreads.get(thread);
  if (own === undefined) lua.lua_pushglobaltable(L);
  else pushTable(L, own);
}

function pushTable(L: LuaState, table: unknown): void {
  lua.lua_pushnil(L);
  L.stack[L.top - 1]?.setfrom(new lobject.TValue(LUA_TTABLE, table));
}

/** Gives the chunk on top of the stack, which was just loaded, the globals of its thread. */
export function setLoadedEnvironment(L: LuaState): void {
  if (!ofThreads.has(L)) return;
  pushThreadEnvironment(L, L);
  setEnvironment(L);
}

/** Pops a table and makes it the globals of the function below it on the stack. */
export function setEnvironment(L: LuaState): void {
  const index = environmentIndex(lua.lua_topointer(L, -2) as LuaClosure);
  if (index === -1 || lua.lua_setupvalue(L, -2, index + 1) === null) lua.lua_pop(L, 1);
}

/**
 * Gives the precompiled function on top of the stack new upvalues. The one for globals gets the
 * global table, all others get nil.
 */
export function renewUpvalues(L: LuaState): void {
  const closure = lua.lua_topointer(L, -1) as LuaClosure;
  for (const i of closure.upvals.keys()) closure.upvals[i] = new lobject.TValue(lua.LUA_TNIL, null);
  lua.lua_pushglobaltable(L);
  setEnvironment(L);
}

function environmentIndex(closure: LuaClosure): number {
  return closure.p.upvalues.findIndex(
    ({ name }) => name !== null && GLOBALS_NAME.equals(name.getstr()),
  );
}

function getfenv(L: LuaState): number {
  if (lua.lua_type(L, 1) === lua.LUA_TNUMBER && lua.lua_tonumber(L, 1) === 0) {
    pushThreadEnvironment(L, L);
    return 1;
  }
  pushFunction(L, true);
  if (lua.lua_iscfunction(L, -1)) {
    lua.lua_pushglobaltable(L);
    return 1;
  }
  const closure = lua.lua_topointer(L, -1) as LuaClosure;
  const upvalue = closure.upvals[environmentIndex(closure)];
  const remembered = withoutUpvalue.get(closure);
  if (upvalue === undefined && remembered === undefined) {
    lua.lua_pushglobaltable(L);
  } else {
    lua.lua_pushnil(L);
    L.stack[L.top - 1]?.setfrom(upvalue ?? new lobject.TValue(LUA_TTABLE, remembered));
  }
  return 1;
}

function setfenv(L: LuaState): number {
  lauxlib.luaL_checktype(L, 2, lua.LUA_TTABLE);
  if (lua.lua_type(L, 1) === lua.LUA_TNUMBER && lua.lua_tonumber(L, 1) === 0) {
    setThreadEnvironment(L, L, lua.lua_topointer(L, 2));
    return 0;
  }
  pushFunction(L, false);
  if (lua.lua_iscfunction(L, -1))
    return raise(L, "'setfenv' cannot change environment of given object");
  const closure = lua.lua_topointer(L, -1) as LuaClosure;
  const index = environmentIndex(closure);
  const table = lua.lua_topointer(L, 2);
  // A function that has an upvalue for globals gets a new one of its own; functions that shared the
  // old one with it keep the old one.
  if (index === -1) withoutUpvalue.set(closure, table);
  else closure.upvals[index] = new lobject.TValue(LUA_TTABLE, table);
  return 1;
}

/** `debug.getfenv` and `debug.setfenv`, which accept threads, too. */
export const debugEnvironment = {
  getfenv: (L: LuaState): number => {
    const thread = lua.lua_tothread(L, 1);
    if (thread === null && lua.lua_type(L, 1) === lua.LUA_TFUNCTION) return getfenv(L);
    lauxlib.luaL_checkany(L, 1);
    if (thread === null) {
      lua.lua_pushnil(L);
      return 1;
    }
    pushThreadEnvironment(L, thread);
    return 1;
  },
  setfenv: (L: LuaState): number => {
    const thread = lua.lua_tothread(L, 1);
    if (thread === null) return setfenv(L);
    lauxlib.luaL_checktype(L, 2, lua.LUA_TTABLE);
    setThreadEnvironment(L, thread, lua.lua_topointer(L, 2));
    lua.lua_settop(L, 1);
    return 1;
  },
};

/** Adds `getfenv` and `setfenv` of Lua 5.1 to the globals. */
export function openEnvironment(L: LuaState): void {
  lua.lua_pushglobaltable(L);
  setFunctions(L, { getfenv, setfenv });
  lua.lua_pop(L, 1);
}
