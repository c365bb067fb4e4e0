/** Where released cgroups are handed to: the script host, as the queue sees it. */
import type { CgroupSnapshot } from "@cm4all/lua";

/**
 * `starting`: not asked yet whether it can; `down`: it cannot for the moment;
 * `idle`: it can, and has no handler, so that there is nothing to wait for.
 */
export type SinkState = "starting" | "ready" | "down" | "idle";

export interface AccountingSink {
  readonly state: SinkState;
  /**
   * Runs the handler for one cgroup. Only called while `ready`.
   * @throws Error (rejects) where the handler failed, did not end in time, or its host was lost
   */
  account(snapshot: CgroupSnapshot): Promise<void>;
  /** Has `listener` called after each change of `state`, besides those that were given before. */
  onStateChange(listener: () => void): void;
}
