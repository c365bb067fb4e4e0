/** The Lua arguments that make up a statement. */
import { spend } from "../compat/budget.ts";
import { checkText, type LuaState, lauxlib, lua, raise, toText, typeName } from "../lua.ts";
import { isNull } from "./null.ts";
import type { Failed, StatementText } from "./statement.ts";
import { cutAtNul, decodeUtf8, InvalidUtf8, numberToParameter } from "./values.ts";

/** Returns the statement in arguments 2 and 3; an error message if it cannot be sent. */
export function statementArguments(L: LuaState): StatementText | Failed {
  const count = lua.lua_gettop(L);
  if (count < 2) return raise(L, "Not enough parameters");
  if (count > 3) return raise(L, "Too many parameters");
  const sql = checkText(L, 2);
  if (count === 3) lauxlib.luaL_checktype(L, 3, lua.LUA_TTABLE);
  try {
    return {
      sql: decodeUtf8(cutAtNul(sql)),
      parameters: count === 3 ? parameters(L, 3) : undefined,
    };
  } catch (error) {
    if (error instanceof InvalidUtf8 || error instanceof UnsupportedParameter)
      return { error: error.message, cause: "script" };
    throw error;
  }
}

class UnsupportedParameter extends Error {}

/** Returns the elements from 1 to the highest index; holes are NULL. */
function parameters(L: LuaState, index: number): (string | null)[] {
  const count = highestIndex(L, index);
  const values: (string | null)[] = [];
  for (let i = 1; i <= count; i++) {
    lua.lua_rawgeti(L, index, i);
    values.push(parameter(L));
    lua.lua_pop(L, 1);
  }
  return values;
}

/** The protocol counts parameters in 16 bits. */
const MAX_PARAMETERS = 65535;

function highestIndex(L: LuaState, index: number): number {
  let highest = 0;
  lua.lua_pushnil(L);
  while (lua.lua_next(L, index)) {
    spend(L, 2);
    lua.lua_pop(L, 1);
    if (lua.lua_type(L, -1) !== lua.LUA_TNUMBER) continue;
    const key = lua.lua_tonumber(L, -1);
    if (Number.isInteger(key) && key > highest) highest = key;
  }
  if (highest > MAX_PARAMETERS)
    throw new UnsupportedParameter(
      `number of parameters must be between 0 and ${MAX_PARAMETERS}\n`,
    );
  return highest;
}

function parameter(L: LuaState): string | null {
  switch (lua.lua_type(L, -1)) {
    case lua.LUA_TNIL:
      return null;
    case lua.LUA_TBOOLEAN:
      return lua.lua_toboolean(L, -1) ? "1" : "0";
    case lua.LUA_TNUMBER:
      return numberToParameter(lua.lua_tonumber(L, -1));
    case lua.LUA_TSTRING:
      return decodeUtf8(cutAtNul(toText(L, -1) ?? ""));
    default:
      if (isNull(L, -1)) return null;
      throw new UnsupportedParameter(`Unsupported query parameter type: ${typeName(L, -1)}`);
  }
}
