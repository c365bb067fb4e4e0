/** The unit of a script host, as the kernel names it. Pure. */

export interface Unit {
  /** Such as `cm4all-spawn-accounting@0-107-0.service`. */
  readonly name: string;
  /** Its path in the hierarchy of systemd. */
  readonly cgroup: string;
}

/**
 * Finds the unit in the text of /proc/PID/cgroup. systemd names an instance by the number,
 * the pid and the uid of the connection for which it was started.
 * @param connector the pid that has connected, as root
 * @returns undefined if the process belongs to no such unit
 * @see cgroups(7), and systemd.socket(5) on Accept=
 */
export function parseUnit(text: string, connector: number): Unit | undefined {
  const line =
    /^(?:0:|\d+:name=systemd):(.*\/(cm4all-spawn-accounting@\d+-(\d+)-0\.service))(?:\/.*)?$/m;
  const [, cgroup, name, pid] = line.exec(text) ?? [];
  if (cgroup === undefined || name === undefined || Number(pid) !== connector) return undefined;
  return { name, cgroup };
}
