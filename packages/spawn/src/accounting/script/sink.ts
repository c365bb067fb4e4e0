/** The interface through which the queue calls the script's handlers. */
import type { EncodedRecord } from "@cm4all/cgroup";
import type { Handlers, Outcome, Run } from "@cm4all/lua";

/**
 * The state of the script. `starting`: it is not known yet if there is a handler. `ready`: there
 * is one. `down`: there is or will be one that cannot be called now, because the script has a
 * mistake or cannot be read, or the script host has ended. `idle`: there is none, because no script
 * is configured or found, or the script defines no handler for empty cgroups.
 */
export type SinkState = "starting" | "ready" | "down" | "idle";

export interface AccountingSink {
  readonly state: SinkState;
  /** How many more handlers can be called now; 0 unless the state is `ready`. */
  readonly room: number;
  /** The handlers that the script defines. */
  readonly handlers: Handlers;
  /** Calls a handler. The caller has seen that it exists and that there is room. */
  run(records: readonly EncodedRecord[], run: Run): Promise<Outcome>;
  /** Adds a listener that is called when `state` may have changed. */
  onStateChange(listener: () => void): void;
}
