/** The gate through which the standard libraries have effects outside the process. */
import type { LuaState } from "../lua.ts";

/**
 * Calls `perform` when an effect is allowed, and returns what `perform` returns, which the library
 * function returns in turn. The coroutine may be suspended until the effect is allowed.
 * @param perform has the effect, and then calls `taken` to report it; `taken` is undefined if
 * nobody needs the report, as in the main chunk
 */
export type EffectGate = (
  L: LuaState,
  perform: (taken: (() => void) | undefined) => number,
) => number;
