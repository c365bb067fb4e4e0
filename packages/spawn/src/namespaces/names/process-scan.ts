/**
 * Which PID namespaces hold processes besides their init: one walk over `/proc` for any
 * number of namespaces. Processes that entered with setns(2) and those of nested
 * namespaces count; neither are the init's children, so nothing cheaper tells.
 *
 * The walk is a generator that pauses every few processes, so that clients are
 * answered meanwhile.
 */
import { fstatSync, opendirSync, openSync, readlinkSync } from "node:fs";
import { Fd, isErrno, namespaceParent, parseNamespaceLink } from "@cm4all/linux";

/** A PID namespace to look at. */
export interface WatchedNamespace {
  readonly inode: number;
  /** Of the init, which does not count. */
  readonly pid: number;
}

/**
 * Walks over all processes.
 * @param ownInode of the daemon's own PID namespace, where most processes are
 * @returns the inodes of the namespaces that hold other processes
 */
export function* scanProcesses(
  namespaces: readonly WatchedNamespace[],
  ownInode: number,
): Generator<void, Set<number>> {
  const byInode = new Map(namespaces.map((namespace) => [namespace.inode, namespace]));
  const busy = new Set<number>();
  /** Namespaces that are not asked about, and the one of ours that they are nested in. */
  const nested = new Map<number, number | undefined>([[ownInode, undefined]]);
  const seen = new Set<number>();
  // A process can end before it is looked at and leave a child that was not listed yet.
  // So there is a second time for what is new.
  for (let time = 0; time < 2; time++) {
    for (const pid of listProcesses()) {
      yield;
      if (seen.has(pid)) continue;
      seen.add(pid);
      const inode = tryReadPidNamespace(pid);
      if (inode === undefined) continue;
      const namespace = byInode.get(inode);
      if (namespace !== undefined) {
        if (namespace.pid !== pid) busy.add(inode);
        continue;
      }
      if (!nested.has(inode)) nested.set(inode, tryFindAncestor(pid, inode, byInode));
      const ancestor = nested.get(inode);
      if (ancestor !== undefined) busy.add(ancestor);
    }
  }
  return busy;
}

/** All pids, in ascending order; read bit by bit, because the whole list takes its time. */
export function* listProcesses(): Generator<number> {
  const directory = opendirSync("/proc", { bufferSize: 256 });
  try {
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
      const pid = Number(entry.name);
      if (Number.isInteger(pid)) yield pid;
    }
  } finally {
    directory.closeSync();
  }
}

/**
 * The PID namespace of a process; undefined where it is gone, a zombie, or so much more
 * privileged than the daemon that the kernel does not tell (EACCES; the daemon has
 * CAP_SYS_PTRACE as a service, and processes with yet more are nobody's customers).
 */
export function tryReadPidNamespace(pid: number): number | undefined {
  try {
    return parseNamespaceLink(readlinkSync(`/proc/${pid}/ns/pid`));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES")) return undefined;
    throw error;
  }
}

/** The nearest of `namespaces` that the namespace of `pid` is nested in. */
function tryFindAncestor(
  pid: number,
  inode: number,
  namespaces: ReadonlyMap<number, WatchedNamespace>,
): number | undefined {
  let current: Fd;
  try {
    current = new Fd(openSync(`/proc/${pid}/ns/pid`, "r"));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES")) return undefined;
    throw error;
  }
  for (;;) {
    const found = fstatSync(current.number).ino;
    if (found !== inode && namespaces.has(found)) {
      current.close();
      return found;
    }
    const parent = namespaceParent(current.number);
    current.close();
    if (parent === undefined) return undefined;
    current = parent;
  }
}
