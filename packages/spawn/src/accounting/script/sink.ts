/** Where records are handed to: the script host, as the queue sees it. */
import type { EncodedRecord } from "@cm4all/cgroup";
import type { Handlers, Outcome, Run } from "@cm4all/lua";

/**
 * `starting`: it is not known yet whether there is a handler; `ready`: there is one;
 * `down`: there is or will be one, but not at this moment: the script has a mistake, cannot
 * be read, or its host has ended; `idle`: there is none, because no script is configured or
 * found, or the script has no such function.
 */
export type SinkState = "starting" | "ready" | "down" | "idle";

export interface AccountingSink {
  readonly state: SinkState;
  /** How many handlers more can be called now; 0 unless `ready`. */
  readonly room: number;
  /** What the script has. */
  readonly handlers: Handlers;
  /** Calls a handler, which is there. Only called while there is room. */
  run(records: readonly EncodedRecord[], run: Run): Promise<Outcome>;
  /** Has `listener` called after each change of `state`, besides those that were given before. */
  onStateChange(listener: () => void): void;
}
