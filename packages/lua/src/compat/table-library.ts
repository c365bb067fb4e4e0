/** The `table` library. */
import {
  type LuaState,
  lauxlib,
  lua,
  optText,
  pushLibrary,
  pushText,
  raise,
  setLibrary,
  toBytes,
  toText,
  typeName,
} from "../lua.ts";
import { spend } from "./budget.ts";
import { Pieces } from "./pieces.ts";
import { clearTable, insertInRow, removeFromRow, type Table } from "./table.ts";

function checkTable(L: LuaState): number {
  lauxlib.luaL_checktype(L, 1, lua.LUA_TTABLE);
  return lua.lua_rawlen(L, 1);
}

function concat(L: LuaState): number {
  const length = checkTable(L);
  const separator = optText(L, 2, "");
  const first = lauxlib.luaL_optinteger(L, 3, 1);
  const last = lauxlib.luaL_optinteger(L, 4, length);
  const pieces = new Pieces();
  for (let i = first; i <= last; i++) {
    spend(L, 1);
    lua.lua_rawgeti(L, 1, i);
    const text = toText(L, -1);
    if (text === undefined)
      return raise(L, `invalid value (${typeName(L, -1)}) at index ${i} in table for 'concat'`);
    pieces.add(text);
    if (i < last) pieces.add(separator);
    lua.lua_pop(L, 1);
  }
  pushText(L, pieces.toString());
  return 1;
}

/** The number of elements of the array part that can be moved at the cost of one instruction. */
const MOVED = 64;
/** The cost, in instructions, of each element that has to be moved on its own. */
const COPIED = 6;

/** Inserts a value. As in Lua 5.1, a position beyond the end is allowed. */
function insert(L: LuaState): number {
  const end = checkTable(L) + 1;
  const arguments_ = lua.lua_gettop(L);
  if (arguments_ === 2) {
    lua.lua_rawseti(L, 1, end);
    return 0;
  }
  if (arguments_ !== 3) return raise(L, "wrong number of arguments to 'insert'");
  const position = lauxlib.luaL_checkinteger(L, 2);
  if (position > 0 && position < end) {
    // The new last element is set first, because the table may have to grow for it.
    lua.lua_pushvalue(L, 3);
    lua.lua_rawseti(L, 1, end);
    if (insertInRow(tableAt(L, 1), position, end)) {
      spend(L, (end - position) / MOVED);
      return 0;
    }
  }
  for (let i = end; i > position; i--) {
    spend(L, COPIED);
    lua.lua_rawgeti(L, 1, i - 1);
    lua.lua_rawseti(L, 1, i);
  }
  lua.lua_rawseti(L, 1, position);
  return 0;
}

function remove(L: LuaState): number {
  const length = checkTable(L);
  const position = lauxlib.luaL_optinteger(L, 2, length);
  if (position < 1 || position > length) return 0;
  lua.lua_rawgeti(L, 1, position);
  if (removeFromRow(tableAt(L, 1), position, length)) {
    spend(L, (length - position) / MOVED);
    return 1;
  }
  for (let i = position; i < length; i++) {
    spend(L, COPIED);
    lua.lua_rawgeti(L, 1, i + 1);
    lua.lua_rawseti(L, 1, i);
  }
  lua.lua_pushnil(L);
  lua.lua_rawseti(L, 1, length);
  return 1;
}

function tableAt(L: LuaState, index: number): Table {
  return lua.lua_topointer(L, index) as Table;
}

/** Sorts by the quicksort of Lua 5.1, which ends even if the order function is inconsistent. */
function sort(L: LuaState): number {
  const length = checkTable(L);
  if (!lua.lua_isnoneornil(L, 2)) lauxlib.luaL_checktype(L, 2, lua.LUA_TFUNCTION);
  lua.lua_settop(L, 2);
  sortRange(L, 1, length);
  return 0;
}

function get(L: LuaState, i: number): void {
  lua.lua_rawgeti(L, 1, i);
}

/** Pops two values: the top one becomes element `i`, the other one element `j`. */
function set2(L: LuaState, i: number, j: number): void {
  lua.lua_rawseti(L, 1, i);
  lua.lua_rawseti(L, 1, j);
}

/** Returns true if the value at stack index `a` belongs before the one at `b`. */
function before(L: LuaState, a: number, b: number): boolean {
  spend(L, 4);
  if (lua.lua_type(L, 2) === lua.LUA_TNIL) return Boolean(lua.lua_compare(L, a, b, lua.LUA_OPLT));
  const left = lua.lua_absindex(L, a);
  const right = lua.lua_absindex(L, b);
  lua.lua_pushvalue(L, 2);
  lua.lua_pushvalue(L, left);
  lua.lua_pushvalue(L, right);
  lua.lua_call(L, 2, 1);
  const result = lua.lua_toboolean(L, -1);
  lua.lua_pop(L, 1);
  return result;
}

/** Puts the elements at `low` and `high` in order. */
function order(L: LuaState, low: number, high: number): void {
  get(L, low);
  get(L, high);
  if (before(L, -1, -2)) set2(L, low, high);
  else lua.lua_pop(L, 2);
}

function sortRange(L: LuaState, from: number, to: number): void {
  let low = from;
  let high = to;
  while (low < high) {
    order(L, low, high);
    if (high - low === 1) return;
    const middle = Math.floor((low + high) / 2);
    order(L, low, middle);
    order(L, middle, high);
    if (high - low === 2) return;
    const pivot = partition(L, low, high, middle);
    // Recursing into the smaller part bounds the depth.
    if (pivot - low < high - pivot) {
      sortRange(L, low, pivot - 1);
      low = pivot + 1;
    } else {
      sortRange(L, pivot + 1, high);
      high = pivot - 1;
    }
  }
}

/** Partitions the elements by the median of three. Returns the pivot's position. */
function partition(L: LuaState, low: number, high: number, middle: number): number {
  get(L, middle);
  lua.lua_pushvalue(L, -1);
  get(L, high - 1);
  set2(L, middle, high - 1);
  let i = low;
  let j = high - 1;
  for (;;) {
    for (get(L, ++i); before(L, -1, -2); get(L, ++i)) {
      if (i >= high) raise(L, "invalid order function for sorting");
      lua.lua_pop(L, 1);
    }
    for (get(L, --j); before(L, -3, -1); get(L, --j)) {
      if (j <= low) raise(L, "invalid order function for sorting");
      lua.lua_pop(L, 1);
    }
    if (j < i) {
      lua.lua_pop(L, 3);
      get(L, high - 1);
      get(L, i);
      set2(L, high - 1, i);
      return i;
    }
    set2(L, i, j);
  }
}

function maxn(L: LuaState): number {
  lauxlib.luaL_checktype(L, 1, lua.LUA_TTABLE);
  lua.lua_pushnumber(L, highestKey(L, 1));
  return 1;
}

/** Returns the highest positive number among the keys of the table at `index`, or 0. */
export function highestKey(L: LuaState, index: number): number {
  let highest = 0;
  const table = lua.lua_absindex(L, index);
  lua.lua_pushnil(L);
  while (lua.lua_next(L, table)) {
    spend(L, 2);
    lua.lua_pop(L, 1);
    if (lua.lua_type(L, -1) === lua.LUA_TNUMBER)
      highest = Math.max(highest, lua.lua_tonumber(L, -1));
  }
  return highest;
}

function getn(L: LuaState): number {
  lua.lua_pushnumber(L, checkTable(L));
  return 1;
}

function foreach(L: LuaState): number {
  lauxlib.luaL_checktype(L, 1, lua.LUA_TTABLE);
  lauxlib.luaL_checktype(L, 2, lua.LUA_TFUNCTION);
  lua.lua_pushnil(L);
  while (lua.lua_next(L, 1)) {
    spend(L, 4);
    lua.lua_pushvalue(L, 2);
    lua.lua_pushvalue(L, -3);
    lua.lua_pushvalue(L, -3);
    lua.lua_call(L, 2, 1);
    if (lua.lua_type(L, -1) !== lua.LUA_TNIL) return 1;
    lua.lua_pop(L, 2);
  }
  return 0;
}

function foreachi(L: LuaState): number {
  const length = checkTable(L);
  lauxlib.luaL_checktype(L, 2, lua.LUA_TFUNCTION);
  for (let i = 1; i <= length; i++) {
    spend(L, 4);
    lua.lua_pushvalue(L, 2);
    lua.lua_pushnumber(L, i);
    lua.lua_rawgeti(L, 1, i);
    lua.lua_call(L, 2, 1);
    if (lua.lua_type(L, -1) !== lua.LUA_TNIL) return 1;
    lua.lua_pop(L, 1);
  }
  return 0;
}

function move(L: LuaState): number {
  lauxlib.luaL_checktype(L, 1, lua.LUA_TTABLE);
  const first = lauxlib.luaL_checkinteger(L, 2);
  const last = lauxlib.luaL_checkinteger(L, 3);
  const to = lauxlib.luaL_checkinteger(L, 4);
  const target = lua.lua_isnoneornil(L, 5) ? 1 : 5;
  lauxlib.luaL_checktype(L, target, lua.LUA_TTABLE);
  const count = last - first + 1;
  const upwards = to > last || to <= first || target !== 1;
  for (let n = 0; n < count; n++) {
    const i = upwards ? n : count - 1 - n;
    spend(L, COPIED);
    lua.lua_rawgeti(L, 1, first + i);
    lua.lua_rawseti(L, target, to + i);
  }
  lua.lua_pushvalue(L, target);
  return 1;
}

/** Pushes an empty table. The sizes asked for are only checked: the table grows as needed. */
function newTable(L: LuaState): number {
  lauxlib.luaL_checkinteger(L, 1);
  lauxlib.luaL_checkinteger(L, 2);
  lua.lua_newtable(L);
  return 1;
}

function clear(L: LuaState): number {
  lauxlib.luaL_checktype(L, 1, lua.LUA_TTABLE);
  clearTable(tableAt(L, 1));
  return 0;
}

/** Makes LuaJIT's extensions available to `require`. */
export function preloadExtensions(L: LuaState): void {
  lua.lua_getglobal(L, toBytes("package"));
  lua.lua_getfield(L, -1, toBytes("preload"));
  for (const [name, extension] of Object.entries({ "table.new": newTable, "table.clear": clear })) {
    lua.lua_pushcfunction(L, (state) => {
      lua.lua_pushcfunction(state, extension);
      return 1;
    });
    lua.lua_setfield(L, -2, toBytes(name));
  }
  lua.lua_pop(L, 2);
}

/** Adds the library `table` of Lua 5.1, with LuaJIT's `move`. */
export function openTable(L: LuaState): void {
  pushLibrary(L, { concat, foreach, foreachi, getn, insert, maxn, move, remove, sort });
  setLibrary(L, "table");
}
