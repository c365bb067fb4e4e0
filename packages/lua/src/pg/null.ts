/** `pg.null`: NULL as a value, where nil would be a hole. */
import type { LuaState } from "../lua.ts";
import { toObject } from "../userdata.ts";

export const NULL_CLASS = "pg.null";

/** Returns if a value is `pg.null`. */
export function isNull(L: LuaState, index: number): boolean {
  return toObject(L, index, NULL_CLASS) !== undefined;
}
