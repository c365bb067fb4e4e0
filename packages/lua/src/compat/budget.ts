import defs from "fengari/src/defs.js";
import ldebug from "fengari/src/ldebug.js";
import lobject from "fengari/src/lobject.js";
import type { LuaBytes, LuaState } from "fengari/src/types";

/**
 * How many instructions Lua may still run before it has to wait for something.
 * One for the process: only one thread of one Lua state runs at a time.
 */
export const budget = {
  left: Number.POSITIVE_INFINITY,
  /** Called for each instruction beyond the budget; throws a Lua error. */
  exhausted(_L: LuaState): void {},
};

/** Raises an error between two instructions, where the stack has no room for the C API. */
export function raiseInVm(L: LuaState, message: LuaBytes): never {
  lobject.luaO_pushfstring(L, defs.to_luastring("%s"), message);
  return ldebug.luaG_errormsg(L);
}
