/**
 * The unit of a script host: its name as the kernel reports it, and the check whether it is
 * suitable. Pure.
 */

export interface Unit {
  /** The name, such as `cm4all-spawn-accounting@0-107-0.service`. */
  readonly name: string;
  /** The path of its cgroup in the hierarchy of systemd. */
  readonly cgroup: string;
}

/**
 * Finds the unit in the text of /proc/PID/cgroup. systemd names an instance after the number of the
 * connection for which it was started, and the pid and the uid of the process that connected. Since
 * systemd 258, the socket's cookie precedes the pid, and on kernels on which the inode number of a
 * pidfd identifies the process, `_` and this number follow the pid.
 * @param connector the pid of the process, running as root, that has connected to the socket
 * @returns undefined if the process belongs to no such unit
 * @see cgroups(7), and systemd.socket(5) on Accept=
 */
export function parseUnit(text: string, connector: number): Unit | undefined {
  const line =
    /^(?:0:|\d+:name=systemd):(.*\/(cm4all-spawn-accounting@\d+-(?:\d+-)?(\d+)(?:_\d+)?-0\.service))(?:\/.*)?$/m;
  const [, cgroup, name, pid] = line.exec(text) ?? [];
  if (cgroup === undefined || name === undefined || Number(pid) !== connector) return undefined;
  return { name, cgroup };
}

/** A process of the unit, and the demands of the configuration. */
export interface UnitFit {
  readonly name: string;
  readonly uid: number;
  /** The text of memory.max; empty if there is none. */
  readonly memoryMax: string;
  /** The uid that the process has to have; undefined means any uid but root's. */
  readonly wantedUid: number | undefined;
  /** The memory that the process may need, in MiB. */
  readonly neededMiB: number;
}

const MIB = 1024 * 1024;

/** Returns the reason why the unit is not suitable; undefined if it is. */
export function misfitOf(fit: UnitFit): string | undefined {
  const { name, uid, wantedUid, neededMiB } = fit;
  if (wantedUid === undefined && uid === 0)
    return `User= of ${name} is root, but accounting.user does not name root`;
  if (wantedUid !== undefined && uid !== wantedUid)
    return `User= of ${name} has the uid ${uid}, but accounting.user has ${wantedUid}`;
  // NaN if there is no limit.
  const limitMiB = fit.memoryMax === "" ? Number.NaN : Number(fit.memoryMax) / MIB;
  if (limitMiB < neededMiB)
    return `MemoryMax= of ${name} is ${Math.floor(limitMiB)} MiB, but with accounting.memory_mib the script may need ${neededMiB} MiB`;
  return undefined;
}
