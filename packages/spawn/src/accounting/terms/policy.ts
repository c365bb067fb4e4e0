/** How handlers are called, as the configuration says. */
export interface AccountingPolicy {
  /** Whether a failed handler is called again. */
  readonly retry: boolean;
  /** How long the handler of a cgroup may fail, while others succeed, until it is parked. */
  readonly maxAgeMs: number;
  /** How many cgroups whose handler has failed may wait; the oldest is parked for a new one. */
  readonly maxWaiting: number;
  /** How many handlers may run, that is: mostly wait, at the same time. */
  readonly maxRunning: number;
  /** How many cgroups are handed to a handler of lists at once, at most. */
  readonly batch: number;
}
