/** What administrators are shown of the accounting script. */

export interface HandlerFailure {
  /** As the log calls it. */
  readonly cgroup: string;
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly failedMs: number;
}

export interface ScriptStatus {
  /** Undefined if there is none, or it cannot be read. */
  readonly path?: string | undefined;
  /** Why it does not run. */
  readonly problem?: string | undefined;
  /** Whether the file was changed since it was loaded. */
  readonly isOutdated: boolean;
  /** When the oldest of the cgroups that wait was measured, milliseconds since 1970. */
  readonly oldestWaitingMs?: number | undefined;
  /** The latest one in the life of the daemon. */
  readonly lastFailure?: HandlerFailure | undefined;
}
