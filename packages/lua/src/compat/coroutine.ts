/** The `coroutine` library, with LuaJIT's results and errors instead of fengari's. */
import lcorolib from "fengari/src/lcorolib.js";
import {
  argumentError,
  type LuaFunction,
  type LuaState,
  lauxlib,
  lua,
  pushText,
  raise,
  setFunctions,
  setLibrary,
  toBytes,
  toText,
} from "../lua.ts";

import { spend } from "./budget.ts";

/** Watches what scripts do with coroutines, some of which belong to the script host. */
export interface CoroutineWatcher {
  /**
   * Called when a script resumes a thread. The watcher has to call `run`, which resumes the thread
   * and returns its status, and has to return this status.
   */
  resume(thread: LuaState, run: () => number): number;
  /**
   * Called when a thread that was resumed by `coroutine.resume` ends, but not for a thread of
   * `coroutine.wrap`. If the thread failed, the message is on top of its stack.
   */
  ended(thread: LuaState, failed: boolean): void;
}

/** The costs of making and resuming a coroutine, in instructions. */
const MAKING = 40;
const RESUMING = 20;

function running(L: LuaState): number {
  if (lua.lua_pushthread(L)) {
    lua.lua_pop(L, 1);
    lua.lua_pushnil(L);
  }
  return 1;
}

function resume(watcher: CoroutineWatcher) {
  return (L: LuaState): number => {
    spend(L, RESUMING);
    const thread = lua.lua_tothread(L, 1);
    if (thread === null) return argumentError(L, 1, "coroutine expected");
    const count = moveInto(L, thread, lua.lua_gettop(L) - 1);
    if (count === undefined) {
      lua.lua_pushboolean(L, false);
      pushText(L, "cannot resume dead coroutine");
      return 2;
    }
    const alive = isAlive(thread);
    const status = watcher.resume(thread, () => lua.lua_resume(thread, L, count));
    const failed = status !== lua.LUA_OK && status !== lua.LUA_YIELD;
    lua.lua_pushboolean(L, !failed);
    if (failed) {
      if (alive && !isAlive(thread)) watcher.ended(thread, true);
      lua.lua_xmove(thread, L, 1);
      return 2;
    }
    const results = lua.lua_gettop(thread);
    lauxlib.luaL_checkstack(L, results, "too many results to resume");
    lua.lua_xmove(thread, L, results);
    if (status === lua.LUA_OK) watcher.ended(thread, false);
    return results + 1;
  };
}

/** Moves the arguments into the thread. @returns their number; undefined if the thread is dead */
function moveInto(L: LuaState, thread: LuaState, count: number): number | undefined {
  const ended = thread.status === lua.LUA_OK && lua.lua_gettop(thread) === 0;
  if (!isAlive(thread) || (ended && !hasFrames(thread))) return undefined;
  lauxlib.luaL_checkstack(thread, count, "too many arguments to resume");
  lua.lua_xmove(L, thread, count);
  return count;
}

function hasFrames(thread: LuaState): boolean {
  return lua.lua_getstack(thread, 0, new lua.lua_Debug()) > 0;
}

/** Returns true if the thread can be resumed. */
function isAlive(thread: LuaState): boolean {
  return thread.status === lua.LUA_OK || thread.status === lua.LUA_YIELD;
}

function wrap(watcher: CoroutineWatcher) {
  return (L: LuaState): number => {
    create(L);
    const thread = lua.lua_tothread(L, -1);
    if (thread === null) throw new Error("there is no thread");
    lua.lua_pushcclosure(L, (state) => callWrapped(state, thread, watcher), 1);
    return 1;
  };
}

function callWrapped(L: LuaState, thread: LuaState, watcher: CoroutineWatcher): number {
  spend(L, RESUMING);
  const count = moveInto(L, thread, lua.lua_gettop(L));
  if (count === undefined) return raise(L, "cannot resume dead coroutine");
  const status = watcher.resume(thread, () => lua.lua_resume(thread, L, count));
  if (status !== lua.LUA_OK && status !== lua.LUA_YIELD) {
    // The message has the position at which the coroutine failed; `raise` adds the position of the
    // caller.
    if (lua.lua_type(thread, -1) === lua.LUA_TSTRING) return raise(L, toText(thread, -1) ?? "");
    lua.lua_xmove(thread, L, 1);
    return lua.lua_error(L);
  }
  const results = lua.lua_gettop(thread);
  lauxlib.luaL_checkstack(L, results, "too many results to resume");
  lua.lua_xmove(thread, L, results);
  return results;
}

function create(L: LuaState): number {
  lauxlib.luaL_checktype(L, 1, lua.LUA_TFUNCTION);
  spend(L, MAKING);
  const thread = lua.lua_newthread(L);
  lua.lua_pushvalue(L, 1);
  lua.lua_xmove(L, thread, 1);
  return 1;
}

function yieldValues(L: LuaState): number {
  if (!lua.lua_isyieldable(L)) return raise(L, "attempt to yield across C-call boundary");
  return lua.lua_yieldk(L, lua.lua_gettop(L), undefined, null);
}

/** Returns fengari's `coroutine.status` with LuaJIT's error for a wrong argument. */
function status(known: LuaFunction): LuaFunction {
  return (L) => {
    if (lua.lua_tothread(L, 1) === null) return argumentError(L, 1, "coroutine expected");
    return known(L);
  };
}

/** Adds the library `coroutine`. @param watcher is told of each coroutine that is resumed */
export function openCoroutine(L: LuaState, watcher: CoroutineWatcher): void {
  lua.lua_pushcfunction(L, lcorolib.luaopen_coroutine);
  lua.lua_call(L, 0, 1);
  lua.lua_getfield(L, -1, toBytes("status"));
  const known = lua.lua_tocfunction(L, -1);
  lua.lua_pop(L, 1);
  setFunctions(L, {
    create,
    status: status(known),
    running,
    resume: resume(watcher),
    wrap: wrap(watcher),
    yield: yieldValues,
  });
  setLibrary(L, "coroutine");
}
