/** A run of a handler, as its caller sees it. */
import type { RunKind } from "./run-kinds.ts";
import type { Effect, FailureCause } from "./runtime/effects.ts";

export interface Run {
  readonly kind: RunKind;
  /**
   * Called at most once, before the first effect of the run. The run waits until the promise is
   * resolved, which means that the beginning of the run is recorded. If the promise is rejected,
   * the script gets the reason as an error. Never called if the handlers may be called again.
   */
  begin(): Promise<void>;
}

/** The outcome of a handler. */
export type Outcome =
  | { type: "done" }
  | {
      type: "failed";
      message: string;
      traceback?: string;
      /** The effect that the handler had had outside the process when it failed. */
      effect: Effect;
      cause: FailureCause;
    }
  /**
   * The script host ended before the handler did; `effect` is what is known of the handler's
   * effects.
   */
  | { type: "interrupted"; message: string; effect: Effect };
