/** The interface of a case, and the context that a case gets. */

export interface Context {
  /** The factor by which this system is slower than one that is not emulated. */
  readonly slowness: number;
  /** True if cgroup2 has the cpu, memory, io and pids controllers. */
  readonly hasControllers: boolean;
  /** Adds a text, such as a measurement, to the line that is printed for the case. */
  note(text: string): void;
}

export interface Case {
  /** The statement that is true if the case passes. */
  readonly title: string;
  /** True to skip the case if cgroup2 lacks these controllers, as it can in a container. */
  readonly needsControllers?: boolean;
  /** If a case has this function, the system reboots after `run`, and then this function runs. */
  afterReboot?(context: Context): void | Promise<void>;
  run(context: Context): void | Promise<void>;
}
