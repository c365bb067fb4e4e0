/**
 * What becomes of records when their handler has ended: done with, repeated, or parked, because it
 * may have had an effect. Two rules more park what is repeated, see repetition.ts. Pure.
 */
import type { Outcome } from "@cm4all/lua";

export type Verdict =
  /** They are done with. */
  | { readonly type: "settle" }
  /** They are done with, though they were not accounted: there is one attempt. */
  | { readonly type: "lose" }
  /** An administrator is to decide. */
  | { readonly type: "park"; readonly reason: string }
  /** All of them are handed over again when handlers succeed. */
  | { readonly type: "wait" }
  /** Each half of them is handed over by itself. */
  | { readonly type: "halve" }
  /** It is handed over again after a pause of its own. */
  | { readonly type: "pause" };

export interface Circumstances {
  /** Whether a handler that failed may be called again at all. */
  readonly retry: boolean;
  /** Whether the script's handlers may be called again after they have taken effect. */
  readonly bearsRepetition: boolean;
  /** How many records the handler was called for. */
  readonly count: number;
  /** Whether others have succeeded since some of them failed before. */
  readonly isOwnFault: boolean;
}

const EFFECTS = {
  taken: "after it had taken effect",
  unanswered: "after it had sent something that was not answered",
} as const;

/** Returns what becomes of records after a run of their handler. Pure. */
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
