/** The `string` library. */
import {
  argumentError,
  checkResults,
  checkText,
  checkTextInPart,
  fromBytes,
  type LuaBytes,
  type LuaFunction,
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
} from "../lua.ts";
import { callTostring } from "./base.ts";
import { spend } from "./budget.ts";
import {
  type Conversion,
  FormatError,
  formatFloat,
  formatInteger,
  formatString,
  formatUnsigned,
  pieceAt,
  quote,
} from "./format.ts";
import { MAX_STRING_BYTES } from "./limits.ts";
import { cut } from "./lua-string.ts";
import { reserve } from "./memory.ts";
import { Pieces } from "./pieces.ts";
import { sealCode } from "./precompiled.ts";
import { searchFunctions } from "./search.ts";

function format(L: LuaState): number {
  const text = checkText(L, 1);
  const result = new Pieces();
  let argument = 1;
  let position = 0;
  while (position < text.length) {
    spend(L, 2);
    const piece = parse(L, text, position);
    position = piece.end;
    if ("text" in piece) result.add(piece.text);
    else if (piece.conversion.letter === "q") addQuoted(L, ++argument, result);
    else result.add(convert(L, ++argument, piece.conversion));
  }
  pushText(L, result.toString());
  return 1;
}

function parse(L: LuaState, text: string, position: number): ReturnType<typeof pieceAt> {
  try {
    return pieceAt(text, position);
  } catch (error) {
    if (error instanceof FormatError) return raise(L, error.message);
    throw error;
  }
}

function addQuoted(L: LuaState, argument: number, result: Pieces): void {
  lauxlib.luaL_checkany(L, argument);
  const text = shown(L, argument);
  spend(L, text.length / 4);
  quote(text, (piece) => result.add(piece));
}

function convert(L: LuaState, argument: number, conversion: Conversion): string {
  lauxlib.luaL_checkany(L, argument);
  switch (conversion.letter) {
    case "d":
    case "i":
      return formatInteger(lauxlib.luaL_checknumber(L, argument), conversion);
    case "u":
    case "o":
    case "x":
    case "X":
      return formatUnsigned(lauxlib.luaL_checknumber(L, argument), conversion);
    case "c":
      return formatString(String.fromCharCode(lauxlib.luaL_checkinteger(L, argument) & 0xff), {
        ...conversion,
        precision: undefined,
      });
    case "p":
      return formatString(pointer(L, argument), conversion);
    case "s": {
      const text = shown(L, argument);
      return formatString(text, conversion);
    }
    default:
      return formatFloat(lauxlib.luaL_checknumber(L, argument), conversion);
  }
}

/** Returns an argument as `tostring` shows it. */
function shown(L: LuaState, argument: number): string {
  if (!callTostring(L, argument)) {
    const text = toText(L, argument);
    if (text !== undefined) return text;
    lauxlib.luaL_tolstring(L, argument);
  }
  // The result of `__tostring` need not be a string.
  const text = toText(L, -1) ?? fromBytes(lauxlib.luaL_tolstring(L, -1));
  lua.lua_pop(L, 1);
  return text;
}

function pointer(L: LuaState, argument: number): string {
  const value = lua.lua_topointer(L, argument);
  return value !== null && "id" in value ? `0x${Number(value.id).toString(16)}` : "NULL";
}

function char(L: LuaState): number {
  let text = "";
  for (let i = 1; i <= lua.lua_gettop(L); i++) {
    const code = lauxlib.luaL_checkinteger(L, i);
    if (code < 0 || code > 255) argumentError(L, i, "invalid value");
    text += String.fromCharCode(code);
  }
  pushText(L, text);
  return 1;
}

/**
 * Returns the position that an argument gives: counted from 1, or from the end if negative; 0 if
 * that is before the start.
 */
function position(L: LuaState, index: number, otherwise: number, length: number): number {
  const n = lauxlib.luaL_optinteger(L, index, otherwise);
  return n < 0 ? Math.max(length + n + 1, 0) : n;
}

function sub(L: LuaState): number {
  const text = checkTextInPart(L, 1);
  lauxlib.luaL_checkinteger(L, 2);
  const start = Math.max(position(L, 2, 1, text.length), 1);
  const end = position(L, 3, -1, text.length);
  pushText(L, cut(text, start - 1, Math.max(end, start - 1)));
  return 1;
}

function byte(L: LuaState): number {
  const text = checkTextInPart(L, 1);
  const start = position(L, 2, 1, text.length);
  const first = Math.max(start, 1);
  const last = Math.min(position(L, 3, start, text.length), text.length);
  const count = Math.max(last - first + 1, 0);
  if (!checkResults(L, count)) return raise(L, "string slice too long");
  spend(L, count);
  for (let i = first; i <= last; i++) lua.lua_pushnumber(L, text.charCodeAt(i - 1));
  return count;
}

function rep(L: LuaState): number {
  const text = checkText(L, 1);
  const count = Math.max(lauxlib.luaL_checkinteger(L, 2), 0);
  const separator = optText(L, 3, "");
  const length = count * (text.length + separator.length);
  if (length > MAX_STRING_BYTES) return raise(L, "resulting string too large");
  reserve(length);
  const repeated = (text + separator).repeat(count);
  pushText(L, count === 0 ? "" : repeated.slice(0, repeated.length - separator.length));
  return 1;
}

/** Makes a library function that returns a changed copy of a string. */
function mapped(fn: (bytes: Buffer) => void): LuaFunction {
  return (L) => {
    const text = checkText(L, 1);
    reserve(text.length);
    const bytes = Buffer.from(text, "latin1");
    fn(bytes);
    pushText(L, bytes.toString("latin1"));
    return 1;
  };
}

/** Changes the case of ASCII letters only, as in the C locale. */
const shiftCase = (first: number, shift: number) => (bytes: Buffer) => {
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i] ?? 0;
    if (c >= first && c < first + 26) bytes[i] = c + shift;
  }
};

function len(L: LuaState): number {
  lua.lua_pushnumber(L, checkTextInPart(L, 1).length);
  return 1;
}

function dump(L: LuaState): number {
  lauxlib.luaL_checktype(L, 1, lua.LUA_TFUNCTION);
  lua.lua_settop(L, 1);
  const code = new Pieces();
  const write = (state: LuaState, bytes: LuaBytes, length: number) => {
    spend(state, 1);
    code.add(fromBytes(bytes.subarray(0, length)));
    return 0;
  };
  // The names of variables are not stripped, because the upvalue for globals is found by its name.
  if (lua.lua_dump(L, write, undefined, false) !== 0)
    return raise(L, "unable to dump given function");
  pushText(L, sealCode(code.toString()));
  return 1;
}

/** Adds the library `string`, whose functions are also the methods of strings. */
export function openString(L: LuaState): void {
  pushLibrary(L, {
    byte,
    char,
    dump,
    format,
    len,
    lower: mapped(shiftCase(0x41, 0x20)),
    rep,
    reverse: mapped((bytes) => bytes.reverse()),
    sub,
    upper: mapped(shiftCase(0x61, -0x20)),
    ...searchFunctions,
  });
  // This makes ("x"):rep(3) work.
  pushText(L, "");
  lua.lua_newtable(L);
  lua.lua_pushvalue(L, -3);
  lua.lua_setfield(L, -2, toBytes("__index"));
  lua.lua_setmetatable(L, -2);
  lua.lua_pop(L, 1);
  setLibrary(L, "string");
}
