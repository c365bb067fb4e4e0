/** The state of the accounting script, as `cm4all-spawn status` shows it. */

/** A failure of a handler. */
export interface HandlerFailure {
  /** The name as in the log; for a list of cgroups, the first name and the number of the others. */
  readonly cgroup: string;
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly failedMs: number;
}

export interface ScriptStatus {
  /** Undefined if there is no script, or if one with a default name cannot be read. */
  readonly path?: string | undefined;
  /** Why the script is not running. */
  readonly problem?: string | undefined;
  /** True if the file was changed after it was loaded. */
  readonly isOutdated: boolean;
  /** The time at which the oldest waiting cgroup was measured, in milliseconds since 1970. */
  readonly oldestWaitingMs?: number | undefined;
  /** The latest failure since the daemon started. */
  readonly lastFailure?: HandlerFailure | undefined;
}
