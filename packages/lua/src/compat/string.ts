/** The `string` library: fengari's, with LuaJIT's `format` and LuaJIT's range of functions. */
import lstrlib from "fengari/src/lstrlib.js";
import {
  argumentError,
  checkText,
  fromBytes,
  type LuaFunction,
  type LuaState,
  lauxlib,
  lua,
  pushText,
  raise,
  setFunctions,
  setLibrary,
  toBytes,
} from "../lua.ts";
import {
  type Conversion,
  FormatError,
  formatFloat,
  formatInteger,
  formatString,
  formatUnsigned,
  parseFormat,
  quote,
} from "./format.ts";

function format(L: LuaState): number {
  let argument = 1;
  let result = "";
  for (const piece of parse(L, checkText(L, 1)))
    result += "text" in piece ? piece.text : convert(L, ++argument, piece.conversion);
  pushText(L, result);
  return 1;
}

function parse(L: LuaState, text: string): ReturnType<typeof parseFormat> {
  try {
    return parseFormat(text);
  } catch (error) {
    if (error instanceof FormatError) return raise(L, error.message);
    throw error;
  }
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
      return formatString(
        String.fromCharCode(lauxlib.luaL_checkinteger(L, argument) & 0xff),
        conversion,
      );
    case "q":
      return quote(checkText(L, argument));
    case "p":
      return formatString(pointer(L, argument), conversion);
    case "s": {
      const text = fromBytes(lauxlib.luaL_tolstring(L, argument));
      lua.lua_pop(L, 1);
      return formatString(text, conversion);
    }
    default:
      return formatFloat(lauxlib.luaL_checknumber(L, argument), conversion);
  }
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

/** A replacement `%x` stands for `x`, where fengari insists on a digit or `%`. */
function lenientReplacement(gsub: LuaFunction): LuaFunction {
  return (L) => {
    if (lua.lua_type(L, 3) === lua.LUA_TSTRING) {
      const replacement = checkText(L, 3);
      const escaped = replacement.replace(/%([\s\S]?)/g, (whole, c: string) =>
        /[\d%]/.test(c) ? whole : c === "" ? "\0" : c,
      );
      pushText(L, escaped);
      lua.lua_replace(L, 3);
    }
    return gsub(L);
  };
}

/** A start beyond the end is the end, where fengari finds nothing. */
function lenientStart(search: LuaFunction): LuaFunction {
  return (L) => {
    if (lua.lua_type(L, 3) === lua.LUA_TNUMBER) {
      const end = lauxlib.luaL_checkstring(L, 1).length + 1;
      lua.lua_pushnumber(L, Math.min(lua.lua_tonumber(L, 3), end));
      lua.lua_replace(L, 3);
    }
    return search(L);
  };
}

export function openString(L: LuaState): void {
  lua.lua_pushcfunction(L, lstrlib.luaopen_string);
  lua.lua_call(L, 0, 1);
  for (const name of ["pack", "packsize", "unpack"]) {
    lua.lua_pushnil(L);
    lua.lua_setfield(L, -2, toBytes(name));
  }
  const original = (name: string): LuaFunction => {
    lua.lua_getfield(L, -1, toBytes(name));
    const fn = lua.lua_tocfunction(L, -1);
    lua.lua_pop(L, 1);
    return fn;
  };
  setFunctions(L, {
    format,
    char,
    gsub: lenientReplacement(original("gsub")),
    find: lenientStart(original("find")),
    match: lenientStart(original("match")),
  });
  setLibrary(L, "string");
}
