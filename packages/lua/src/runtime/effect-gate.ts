/** Keeps a handler from having effects until the daemon has recorded that the handler has begun. */
import type { EffectGate } from "../compat/index.ts";
import { lua, raiseError } from "../lua.ts";
import type { Scheduler } from "./scheduler.ts";

/** Returns a gate that suspends the coroutine if it can, and blocks otherwise. */
export function effectGate(scheduler: Scheduler): EffectGate {
  return (L, perform) => {
    const effects = scheduler.current?.effects;
    if (effects === undefined) return perform(undefined);
    const taken = () => effects.taken();
    if (!lua.lua_isyieldable(L)) {
      try {
        effects.beginSync();
      } catch (error) {
        return raiseError(L, error);
      }
      return perform(taken);
    }
    const beginning = effects.begin();
    if (beginning === undefined) return perform(taken);
    return scheduler.suspend(L, () => ({ result: beginning, push: () => perform(taken) }));
  };
}
