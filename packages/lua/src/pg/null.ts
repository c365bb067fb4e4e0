/** `pg.null`: NULL as a value, for tables in which nil would be a hole. */
import type { LuaState } from "../lua.ts";
import { toObject } from "../userdata.ts";

export const NULL_CLASS = "pg.null";

/** Returns true if the value at `index` is `pg.null`. */
export function isNull(L: LuaState, index: number): boolean {
  return toObject(L, index, NULL_CLASS) !== undefined;
}
