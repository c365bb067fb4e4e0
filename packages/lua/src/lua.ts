/**
 * The C API of Lua, as our libraries use it. A Lua string is a string of bytes; in JavaScript it
 * is a string of characters 0 to 255, one for each byte ("binary string", Buffer's "latin1").
 */
import { type ByteString, bytesOfText, errorText, latin1Of } from "@cm4all/linux";
// Imported before fengari's modules, which it changes.
import "./compat/patch.ts";
import defs from "fengari/src/defs.js";
import lauxlib from "fengari/src/lauxlib.js";
import lobject from "fengari/src/lobject.js";
import lua from "fengari/src/lua.js";
import type { LuaBytes, LuaFunction, LuaState } from "fengari/src/types";
import { spendBytes } from "./compat/budget.ts";
import { LuaString, latin1 } from "./compat/lua-string.ts";
import { numberToText } from "./compat/numbers.ts";

export type { LuaBytes, LuaFunction, LuaState } from "fengari/src/types";
export { lauxlib, lua };

/** Returns a binary string as bytes that the caller owns. */
export function toBytes(text: string): LuaBytes {
  const bytes = new Uint8Array(text.length);
  Buffer.from(bytes.buffer).write(text, "latin1");
  return bytes;
}

/** Returns bytes as a binary string. */
export const fromBytes = latin1;

/** Pushes a binary string. */
export function pushText(L: LuaState, text: string): void {
  lobject.pushsvalue2s(L, new LuaString(text, undefined));
  if (L.top > L.ci.top) throw new Error("stack overflow");
}

/**
 * Returns the text of the string at an index, which counts from the running function's first
 * argument, or from the top if it is negative.
 */
function stringAt(L: LuaState, index: number): string {
  const value = L.stack[index > 0 ? L.ci.funcOff + index : L.top + index]?.value;
  if (value instanceof LuaString) return value.text;
  throw new Error("there is no string at this index");
}

/** Pushes a string of any bytes. */
export function pushByteString(L: LuaState, bytes: ByteString): void {
  pushText(L, latin1Of(bytes));
}

/** Pushes a string, number or boolean, or nil for undefined. */
export function pushValue(L: LuaState, value: string | number | boolean | undefined): void {
  if (typeof value === "string") pushText(L, value);
  else if (typeof value === "number") lua.lua_pushnumber(L, value);
  else if (typeof value === "boolean") lua.lua_pushboolean(L, value);
  else lua.lua_pushnil(L);
}

/** The number of values that LuaJIT has room for in a C function's frame. */
const MAX_C_STACK = 8000;

/** Makes room for results; returns false if a function cannot return that many. */
export function checkResults(L: LuaState, count: number): boolean {
  return lua.lua_gettop(L) + count <= MAX_C_STACK && lua.lua_checkstack(L, count);
}

/**
 * Pushes nil and a message, the results of a function that fails for reasons outside the script.
 * Returns the number of results.
 */
export function pushFailure(L: LuaState, message: string): number {
  lua.lua_pushnil(L);
  pushText(L, message);
  return 2;
}

/**
 * Returns the argument as a string; a number is converted. The budget is charged for all of the
 * string.
 * @throws a Lua error for other types
 */
export function checkText(L: LuaState, index: number): string {
  const text = checkTextInPart(L, index);
  spendBytes(text.length);
  return text;
}

/**
 * Like `checkText`, for a function that reads only a part of the string, or nothing, and itself
 * charges the budget for what it reads: scripts call such functions for each byte of a long string.
 * @throws a Lua error for other types
 */
export function checkTextInPart(L: LuaState, index: number): string {
  if (lua.lua_type(L, index) !== lua.LUA_TSTRING) lauxlib.luaL_checkstring(L, index);
  return stringAt(L, index);
}

/**
 * Returns an argument as a string; `otherwise` if it is nil or absent.
 * @throws a Lua error for other types
 */
export function optText<T>(L: LuaState, index: number, otherwise: T): string | T {
  return lua.lua_isnoneornil(L, index) ? otherwise : checkText(L, index);
}

/**
 * Returns the value as a string; undefined if it is neither a string nor a number. The budget is
 * charged for all of the string.
 */
export function toText(L: LuaState, index: number): string | undefined {
  const type = lua.lua_type(L, index);
  if (type === lua.LUA_TSTRING) return checkText(L, index);
  if (type === lua.LUA_TNUMBER) return numberToText(lua.lua_tonumber(L, index));
  return undefined;
}

/** Returns the name of a value's type, as in Lua's messages. */
export function typeName(L: LuaState, index: number): string {
  return fromBytes(lauxlib.luaL_typename(L, index));
}

/** Raises an error with the position of the calling script before the message. */
export function raise(L: LuaState, message: string): never {
  return lauxlib.luaL_error(L, defs.to_luastring("%s"), toBytes(message));
}

/** Raises a JavaScript error as a Lua error with the same message. */
export function raiseError(L: LuaState, error: unknown): never {
  return raise(L, latin1Of(bytesOfText(errorText(error))));
}

/** Raises an error with this message, and no position before it. */
export function raisePlain(L: LuaState, message: string): never {
  pushText(L, message);
  return lua.lua_error(L);
}

/** Raises `bad argument #index to 'function' (message)`. */
export function argumentError(L: LuaState, index: number, message: string): never {
  return lauxlib.luaL_argerror(L, index, toBytes(message));
}

/** Sets functions as fields of the table on top of the stack. */
export function setFunctions(L: LuaState, functions: Record<string, LuaFunction>): void {
  for (const [name, fn] of Object.entries(functions)) {
    lua.lua_pushcfunction(L, fn);
    lua.lua_setfield(L, -2, toBytes(name));
  }
}

/** Pushes a new table with these functions. */
export function pushLibrary(L: LuaState, functions: Record<string, LuaFunction>): void {
  lua.lua_createtable(L, 0, 0);
  setFunctions(L, functions);
}

/**
 * Pops the library on top of the stack, and makes it the global `name` and the result of
 * `require(name)`.
 */
export function setLibrary(L: LuaState, name: string): void {
  lauxlib.luaL_getsubtable(L, lua.LUA_REGISTRYINDEX, toBytes("_LOADED"));
  lua.lua_pushvalue(L, -2);
  lua.lua_setfield(L, -2, toBytes(name));
  lua.lua_pop(L, 1);
  lua.lua_setglobal(L, toBytes(name));
}
