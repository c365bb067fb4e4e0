/**
 * Decides on records when their handler has ended: they are settled, or handed over again, or
 * parked because the handler may have had an effect. repetition.ts has two more rules by which
 * records are parked. Pure.
 */
import type { Outcome } from "@cm4all/lua";

export type Verdict =
  /** The records are accounted. */
  | { readonly type: "settle" }
  /** The records are lost: only one attempt is allowed. */
  | { readonly type: "lose" }
  /** An administrator has to decide. */
  | { readonly type: "park"; readonly reason: string }
  /** The records are handed over again after an outage. */
  | { readonly type: "wait" }
  /** Each half of the records is handed over by itself. */
  | { readonly type: "halve" }
  /** The record is handed over again after a pause. */
  | { readonly type: "pause" };

export interface Circumstances {
  /** True if a handler that failed may be called again at all. */
  readonly retry: boolean;
  /** True if the script's handlers may be called again after they have had an effect. */
  readonly bearsRepetition: boolean;
  /** The number of records for which the handler was called. */
  readonly count: number;
  /** True if other handlers have succeeded since one of the records last failed. */
  readonly isOwnFault: boolean;
}

const EFFECTS = {
  taken: "after it had had an effect",
  unanswered: "after it had sent something that was not answered",
} as const;

/** Returns what to do with records after a run of their handler. Pure. */
export function judge(outcome: Outcome, circumstances: Circumstances): Verdict {
  const { retry, bearsRepetition, count, isOwnFault } = circumstances;
  if (outcome.type === "done") return { type: "settle" };
  if (!retry) return { type: "lose" };
  const { effect, message } = outcome;
  if (effect !== "none" && !bearsRepetition)
    return { type: "park", reason: `its handler failed ${EFFECTS[effect]}: ${message}` };
  const isConnection = outcome.type === "failed" && outcome.cause === "connection";
  if (isConnection && !isOwnFault) return { type: "wait" };
  return { type: count > 1 ? "halve" : "pause" };
}
