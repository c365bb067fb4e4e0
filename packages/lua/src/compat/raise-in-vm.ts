import defs from "fengari/src/defs.js";
import ldebug from "fengari/src/ldebug.js";
import lobject from "fengari/src/lobject.js";
import type { LuaBytes, LuaState } from "fengari/src/types";

/** Raises an error between two instructions, where the stack has no room for the C API. */
export function raiseInVm(L: LuaState, message: LuaBytes): never {
  lobject.luaO_pushfstring(L, defs.to_luastring("%s"), message);
  return ldebug.luaG_errormsg(L);
}
