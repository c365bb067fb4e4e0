/** The gate through which the standard libraries have effects outside the process. */
import type { LuaState } from "../lua.ts";

/**
 * Calls `perform` when an effect is allowed, and returns its result, which the library function
 * returns in turn. The coroutine may be suspended until then.
 * @param perform has the effect, and then calls `taken`, which is undefined if nobody needs to
 * know, as in the main chunk
 */
export type EffectGate = (
  L: LuaState,
  perform: (taken: (() => void) | undefined) => number,
) => number;
