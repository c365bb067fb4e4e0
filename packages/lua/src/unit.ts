/** The unit of a script host: its name, as the kernel has it, and whether it will do. Pure. */

export interface Unit {
  /** Such as `cm4all-spawn-accounting@0-107-0.service`. */
  readonly name: string;
  /** Its path in the hierarchy of systemd. */
  readonly cgroup: string;
}

/**
 * Finds the unit in the text of /proc/PID/cgroup. systemd names an instance by the number,
 * the pid and the uid of the connection for which it was started; since 258 the socket's
 * cookie is before the pid, and, where the kernel has it, `_` and the pidfd's inode behind it.
 * @param connector the pid that has connected, as root
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

/** A process of the unit, and what the configuration asks of it. */
export interface UnitFit {
  readonly name: string;
  readonly uid: number;
  /** The text of memory.max; empty where there is none. */
  readonly memoryMax: string;
  /** The uid that it has to have; undefined: any but root's. */
  readonly wantedUid: number | undefined;
  /** How much it may come to use, MiB. */
  readonly neededMiB: number;
}

const MIB = 1024 * 1024;

/** Returns why the unit will not do, or undefined if it will. */
export function misfitOf(fit: UnitFit): string | undefined {
  const { name, uid, wantedUid, neededMiB } = fit;
  if (wantedUid === undefined && uid === 0)
    return `User= of ${name} is root, which accounting.user does not say`;
  if (wantedUid !== undefined && uid !== wantedUid)
    return `User= of ${name} has the uid ${uid}, accounting.user has ${wantedUid}`;
  // NaN where it says "max".
  const limitMiB = fit.memoryMax === "" ? Number.NaN : Number(fit.memoryMax) / MIB;
  if (limitMiB < neededMiB)
    return `MemoryMax= of ${name} is ${Math.floor(limitMiB)} MiB, with accounting.memory_mib the script may need ${neededMiB} MiB`;
  return undefined;
}
