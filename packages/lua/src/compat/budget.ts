import type { LuaState } from "fengari/src/types";

/**
 * How many instructions Lua may still run before it has to wait for something.
 * One for the process: only one thread of one Lua state runs at a time.
 */
export const budget = {
  left: Number.POSITIVE_INFINITY,
  /** Called for each instruction beyond the budget; throws a Lua error. */
  exhausted(_L: LuaState): void {},
};
