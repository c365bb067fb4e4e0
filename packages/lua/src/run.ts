/** A run of a handler, as those see it who want it run. */
import type { RunKind } from "./run-kinds.ts";
import type { Effect, FailureCause } from "./runtime/effects.ts";

export interface Run {
  readonly kind: RunKind;
  /**
   * Called at most once, before the first effect of the run, which waits until it is
   * resolved: then it may be known that the run has begun. If it is rejected, the script
   * gets the reason as an error. Never called if the handlers bear repetition.
   */
  begin(): Promise<void>;
}

/** What became of a handler. */
export type Outcome =
  | { type: "done" }
  | {
      type: "failed";
      message: string;
      traceback?: string;
      /** What it had done outside by then. */
      effect: Effect;
      cause: FailureCause;
    }
  /** The host ended meanwhile, as far as it is known after how much. */
  | { type: "interrupted"; message: string; effect: Effect };
