/** The connection as scripts see it, and the results of its statements. */
import { type LuaState, pushFailure } from "../lua.ts";
import type { PgConnection } from "./connection.ts";
import type { Listeners } from "./listeners.ts";
import { pushResult } from "./result.ts";
import type { PgRun } from "./run.ts";
import type { Outcome } from "./statement.ts";
import { encodeUtf8 } from "./values.ts";

export const CONNECTION = "pg.Connection";

export interface Session {
  connection: PgConnection;
  listeners: Listeners;
}

/**
 * Pushes the outcome of a statement, and notes the cause that a failure of the run would have
 * now. Returns the number of values.
 */
export function pushOutcome(L: LuaState, run: PgRun, outcome: Outcome): number {
  run.cause = "error" in outcome ? outcome.cause : "script";
  if ("error" in outcome) return pushFailure(L, encodeUtf8(outcome.error));
  pushResult(L, outcome.result);
  return 1;
}
