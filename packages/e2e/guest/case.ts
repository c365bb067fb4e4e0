/** What a case is, and what it is given. */

export interface Context {
  /** How much longer things take here than on a real machine. */
  readonly slowness: number;
  /** Whether cgroup2 has the cpu, memory, io and pids controllers. */
  readonly hasControllers: boolean;
  /** Adds a measurement to the case's line. */
  note(text: string): void;
}

export interface Case {
  /** What is true when the case passes. */
  readonly title: string;
  /** Skipped in a container, where cgroup2 has no controllers. */
  readonly needsControllers?: boolean;
  /** The system is started again between `run` and this. */
  afterReboot?(context: Context): void | Promise<void>;
  run(context: Context): void | Promise<void>;
}
