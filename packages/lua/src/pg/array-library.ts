/** `pg:encode_array` and `pg:decode_array`. */
import { spend } from "../compat/budget.ts";
import { reserve } from "../compat/memory.ts";
import {
  argumentError,
  checkText,
  type LuaState,
  lua,
  pushText,
  raise,
  toBytes,
  toText,
  typeName,
} from "../lua.ts";
import {
  type ArrayElement,
  ArrayError,
  decodeArray,
  joinElements,
  NULL,
  quoteElement,
} from "./array.ts";
import { isNull } from "./null.ts";
import { cutAtNul, numberToParameter } from "./values.ts";

/** PostgreSQL's arrays have up to six dimensions. */
const MAX_DEPTH = 6;

/** The cost of an element, in instructions, and that of each of its characters. */
const ELEMENT = 8;
const CHARACTER = 1 / 4;
/** The memory that an element takes in addition to its characters. */
const ELEMENT_BYTES = 64;

function countElement(L: LuaState, length: number): void {
  spend(L, ELEMENT + length * CHARACTER);
  reserve(ELEMENT_BYTES + length);
}

/** Pushes a table as the text of an array: `pg:encode_array`. */
export function encodeArrayFunction(L: LuaState): number {
  if (lua.lua_gettop(L) > 2) return raise(L, "Too many parameters");
  if (lua.lua_type(L, 2) !== lua.LUA_TTABLE) return argumentError(L, 2, "Table expected");
  pushText(L, encodeTable(L, 2, ""));
  return 1;
}

/** Encodes the table at `index`. @param where the indices that lead to it, for messages */
function encodeTable(L: LuaState, index: number, where: string): string {
  const table = lua.lua_absindex(L, index);
  const count = lua.lua_rawlen(L, table);
  checkKeys(L, table, count, where);
  const parts: string[] = [];
  for (let i = 1; i <= count; i++) {
    lua.lua_rawgeti(L, table, i);
    countElement(L, lua.lua_type(L, -1) === lua.LUA_TSTRING ? lua.lua_rawlen(L, -1) : 0);
    parts.push(encodeElement(L, where, i));
    lua.lua_pop(L, 1);
  }
  return joinElements(parts);
}

/**
 * Encodes the value on top of the stack. Numbers are written as in parameters, without a loss
 * of digits.
 */
function encodeElement(L: LuaState, where: string, i: number): string {
  switch (lua.lua_type(L, -1)) {
    case lua.LUA_TNUMBER:
      return `"${numberToParameter(lua.lua_tonumber(L, -1))}"`;
    case lua.LUA_TSTRING:
      return quoteElement(toText(L, -1) ?? "");
    case lua.LUA_TNIL:
      return '""';
    case lua.LUA_TTABLE:
      if (where.split("[").length >= MAX_DEPTH)
        return raise(
          L,
          `cannot encode element ${where}[${i}]: arrays have at most ${MAX_DEPTH} dimensions`,
        );
      return encodeTable(L, -1, `${where}[${i}]`);
    default:
      if (isNull(L, -1)) return "NULL";
      return raise(L, `cannot encode element ${where}[${i}]: a ${typeName(L, -1)}`);
  }
}

/** Checks that every key is the index of an element: other keys would be lost silently. */
function checkKeys(L: LuaState, table: number, count: number, where: string): void {
  lua.lua_pushnil(L);
  while (lua.lua_next(L, table)) {
    spend(L, 2);
    lua.lua_pop(L, 1);
    const key = Math.trunc(lua.lua_tonumberx(L, -1) || Number.NaN);
    if (!(key >= 1 && key <= count)) {
      const name = toText(L, -1) ?? typeName(L, -1);
      raise(
        L,
        `cannot encode the array${where && ` ${where}`}: its key "${name}" is not the index of an element`,
      );
    }
  }
}

/** Pushes a table with the elements of an array's text: `pg:decode_array`. */
export function decodeArrayFunction(L: LuaState): number {
  const text = cutAtNul(checkText(L, 2));
  if (lua.lua_gettop(L) > 3) return raise(L, "Too many parameters");
  const options = lua.lua_type(L, 3);
  if (options !== lua.LUA_TNONE && options !== lua.LUA_TTABLE)
    return raise(L, "Too many parameters");
  if (options === lua.LUA_TTABLE) lua.lua_getfield(L, 3, toBytes("null"));
  else lua.lua_pushnil(L);
  const nullIndex = lua.lua_gettop(L);
  try {
    pushElements(
      L,
      decodeArray(text, (length) => countElement(L, length)),
      nullIndex,
    );
    return 1;
  } catch (error) {
    if (error instanceof ArrayError) return raise(L, error.message);
    throw error;
  }
}

/**
 * Pushes an array as a table.
 * @param nullIndex the index of the value that stands for an unquoted NULL; if that value is nil,
 * an unquoted NULL becomes the string "NULL"
 */
function pushElements(L: LuaState, list: ArrayElement[], nullIndex: number): void {
  lua.lua_newtable(L);
  for (const [i, value] of list.entries()) {
    if (typeof value === "string") pushText(L, value);
    else if (value !== NULL) pushElements(L, value, nullIndex);
    else if (lua.lua_type(L, nullIndex) === lua.LUA_TNIL) pushText(L, "NULL");
    else lua.lua_pushvalue(L, nullIndex);
    lua.lua_rawseti(L, -2, i + 1);
  }
}
