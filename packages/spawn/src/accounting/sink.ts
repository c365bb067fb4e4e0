/** Where released cgroups are handed to: the script host, as the queue sees it. */
import type { CgroupSnapshot } from "@cm4all/cgroup";

/**
 * `starting`: it is not known yet whether there is a handler; `ready`: there is one;
 * `down`: there is or will be one, but not at this moment: the script has a mistake, cannot
 * be read, or its host has ended; `idle`: there is none, because no script is configured or
 * found, or the script has no such function.
 */
export type SinkState = "starting" | "ready" | "down" | "idle";

export interface AccountingSink {
  readonly state: SinkState;
  /** How many handlers more can be called now. */
  readonly room: number;
  /**
   * Runs the handler for one cgroup. Only called while `ready` and there is room.
   * @throws Error (rejects) where the handler failed, did not end in time, or its host was lost
   */
  account(snapshot: CgroupSnapshot): Promise<void>;
  /** Has `listener` called after each change of `state`, besides those that were given before. */
  onStateChange(listener: () => void): void;
}
