/**
 * Finds the PID namespaces that contain processes other than their init, with one walk over `/proc`
 * for any number of namespaces. Processes that entered with setns(2) and those of nested
 * namespaces count. They need not be children of the init, so there is no cheaper way to find them.
 *
 * The walk is a generator that pauses at each process, so that clients can be answered in the
 * meantime.
 */
import { fstatSync, opendirSync, openSync, readlinkSync } from "node:fs";
import { Fd, isErrno, namespaceParent, parseNamespaceLink } from "@cm4all/linux";

/** A PID namespace to search for processes. */
export interface WatchedNamespace {
  readonly inode: number;
  /** The pid of the init, which does not count. */
  readonly pid: number;
}

/**
 * Walks over all processes.
 * @param ownInode the inode of the daemon's own PID namespace, where most processes are
 * @returns the inodes of the namespaces that contain processes other than their init
 */
export function* scanProcesses(
  namespaces: readonly WatchedNamespace[],
  ownInode: number,
): Generator<void, Set<number>> {
  const byInode = new Map(namespaces.map((namespace) => [namespace.inode, namespace]));
  const busy = new Set<number>();
  /** Maps each other namespace to the one of `namespaces` in which it is nested, if any. */
  const nested = new Map<number, number | undefined>([[ownInode, undefined]]);
  const seen = new Set<number>();
  // A process can end before it is looked at and leave a child that has not been listed. So a
  // second pass looks at the new processes.
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
      if (!nested.has(inode)) {
        using own = tryOpenPidNamespace(pid);
        // If this process is gone, others may still be in the same namespace.
        if (own === undefined) continue;
        nested.set(inode, findAncestor(own, byInode));
      }
      const ancestor = nested.get(inode);
      if (ancestor !== undefined) busy.add(ancestor);
    }
  }
  return busy;
}

/**
 * Yields all pids in ascending order. They are read in batches, because reading the whole list in
 * one go takes a long time.
 */
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
 * Returns the inode of a process's PID namespace; undefined if the process is gone, a zombie, or
 * so privileged that the kernel does not let the daemon look (EACCES). As a service, the daemon has
 * CAP_SYS_PTRACE, with which it may look at every process.
 */
export function tryReadPidNamespace(pid: number): number | undefined {
  try {
    return parseNamespaceLink(readlinkSync(`/proc/${pid}/ns/pid`));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES")) return undefined;
    throw error;
  }
}

/** Opens a process's PID namespace; undefined in the same cases as for tryReadPidNamespace. */
function tryOpenPidNamespace(pid: number): Fd | undefined {
  try {
    return new Fd(openSync(`/proc/${pid}/ns/pid`, "r"));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES")) return undefined;
    throw error;
  }
}

/** Returns the inode of the nearest of `namespaces` in which a PID namespace is nested. */
function findAncestor(
  nested: Fd,
  namespaces: ReadonlyMap<number, WatchedNamespace>,
): number | undefined {
  using parent = namespaceParent(nested.number);
  if (parent === undefined) return undefined;
  const { ino } = fstatSync(parent.number);
  return namespaces.has(ino) ? ino : findAncestor(parent, namespaces);
}
