/**
 * Restores what an earlier run has left behind: the names in its store, and the inits that are
 * still running. Inits in the daemon's own cgroup that the store does not know are adopted or
 * killed.
 */
import { errorText, pidfdSendSignal, SIGKILL, tryPidfdOpen } from "@cm4all/linux";
import { LOG_NOTICE, LOG_WARNING, type Logger } from "../../log/log.ts";
import { hasRunShort } from "../errors.ts";
import { isInit, tryReadInitName } from "./init.ts";
import type { StoredName } from "./name-directory.ts";
import { listProcesses, scanProcesses, tryReadPidNamespace } from "./process-scan.ts";
import type { Registry } from "./registry.ts";
import type { Store } from "./store.ts";

interface FoundInit {
  readonly pid: number;
  readonly inode: number;
  readonly name: string;
}

/**
 * Fills the registry.
 * @param cgroupPids the processes of the daemon's own cgroup. Inits among them that the store
 *   does not know are adopted if other processes run in their PID namespaces, and ended otherwise
 * @param ownInode the inode of the daemon's PID namespace
 * @throws SyscallError, or an error of Node. If resources have run short, all names and their inits
 *   are still there: another start can restore them
 */
export function restore(
  store: Store,
  registry: Registry,
  log: Logger,
  cgroupPids: readonly number[],
  ownInode: number,
): void {
  const setAside = (path: string, reason: string) =>
    log(LOG_WARNING, `left alone in the store of an earlier run: ${path}: ${reason}`);
  const stored = store.restore(setAside);
  const inodes = stored.flatMap(({ directory, namespaces }) =>
    namespaces.filter(({ kind }) => kind === "pid").map(({ file }) => directory.inode(file)),
  );
  const initPids = findInitPids(new Set(inodes));
  for (const found of stored) tryRestore(registry, found, initPids, setAside);
  if (registry.size > 0) log(LOG_NOTICE, `restored ${registry.size} names of an earlier run`);
  adoptUnknown(store, registry, log, findInits(cgroupPids), ownInode);
}

/**
 * Takes over a name. If that fails, the name is free again, and its directory is left alone, with
 * the init that belongs to it.
 */
function tryRestore(
  registry: Registry,
  found: StoredName,
  initPids: ReadonlyMap<number, number>,
  setAside: (path: string, reason: string) => void,
): void {
  // If two directories are for the same name, the first one counts.
  if (registry.get(found.name) !== undefined) {
    setAside(found.directory.path, `the name ${found.name} occurs twice`);
    return;
  }
  const set = registry.create(found.name, found.uid, found.directory);
  try {
    set.restore(found, initPids);
    if (set.isEmpty && !set.isLeased && !found.hasUnusable) registry.remove(set);
    else registry.touch(set);
  } catch (error) {
    if (hasRunShort(error)) throw error;
    registry.abandon(set);
    setAside(found.directory.path, errorText(error));
  }
}

/**
 * Returns the pid of the init of each of these PID namespaces, by the inode of the namespace. Reads
 * no command lines: they are in the memory of the processes, and if that memory is mapped from a
 * FUSE file, the reader may wait forever.
 */
function findInitPids(inodes: ReadonlySet<number>): Map<number, number> {
  const found = new Map<number, number>();
  if (inodes.size === 0) return found;
  for (const pid of listProcesses()) {
    const inode = tryReadPidNamespace(pid);
    if (inode !== undefined && inodes.has(inode) && isInit(pid)) found.set(inode, pid);
  }
  return found;
}

function findInits(pids: readonly number[]): FoundInit[] {
  return pids.flatMap((pid) => {
    const name = tryReadInitName(pid);
    const inode = name === undefined ? undefined : tryReadPidNamespace(pid);
    return name === undefined || inode === undefined ? [] : [{ pid, inode, name }];
  });
}

/**
 * Of the inits that the store does not know, takes over the busy ones, in whose PID namespaces other
 * processes run, and ends the others. Such an init was started right before the daemon was killed,
 * or the store has been lost. Only in the second case can a client have been given its namespace.
 * An init whose namespace is in an entry that was left alone is left alone, too.
 */
function adoptUnknown(
  store: Store,
  registry: Registry,
  log: Logger,
  inits: readonly FoundInit[],
  ownInode: number,
): void {
  const known = new Set([...registry.sets()].map(({ init }) => init?.pid));
  const others = inits.filter(({ pid }) => !known.has(pid));
  if (others.length === 0) return;
  const kept = store.pidNamespaces();
  const unknown = others.filter(({ inode }) => !kept.has(inode));
  if (unknown.length === 0) return;
  const scan = scanProcesses(unknown, ownInode);
  let step = scan.next();
  while (step.done !== true) step = scan.next();
  for (const init of unknown) {
    const { name, pid, inode } = init;
    if (!step.value.has(inode)) {
      log(LOG_NOTICE, `ended an idle init of an earlier run: ${name} (pid ${pid})`);
      killInit(pid, inode);
    } else if (tryAdopt(registry, init)) {
      log(LOG_WARNING, `adopted a busy init that the store did not know: ${name} (pid ${pid})`);
    }
  }
}

/** Kills an init through a pidfd, so that no other process can be killed by mistake. */
function killInit(pid: number, inode: number): void {
  using pidfd = tryPidfdOpen(pid);
  if (pidfd !== undefined && tryReadPidNamespace(pid) === inode)
    pidfdSendSignal(pidfd.number, SIGKILL);
}

function tryAdopt(registry: Registry, { name, pid, inode }: FoundInit): boolean {
  // Two busy namespaces may have the same name. Both must be kept, so the second one gets a name
  // that no client can ask for and that expires once it is idle.
  const free = registry.get(name)?.init === undefined ? name : `${name}\u00a0${pid}`;
  const set = registry.get(free) ?? registry.create(free, undefined);
  const isAdopted = set.tryAdoptUnknownInit(pid, inode);
  if (isAdopted) registry.touch(set);
  else registry.touchUnlessUseless(set);
  return isAdopted;
}
