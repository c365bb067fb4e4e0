/** How the standard libraries do what can be seen outside of the process. */
import type { LuaState } from "../lua.ts";

/**
 * Calls `perform` when an effect may be taken, and returns what it returned: for a library
 * function to return in its turn. It may suspend the coroutine before.
 * @param perform is given a function to call when it has taken effect; undefined if
 * nobody wants to know, as in the main chunk
 */
export type EffectGate = (
  L: LuaState,
  perform: (taken: (() => void) | undefined) => number,
) => number;
