/**
 * What a start finds: names in the store of an earlier run, inits that run on, and inits
 * that no store knows. Afterwards no init is unknown.
 */
import { pidfdSendSignal, SIGKILL, tryPidfdOpen } from "@cm4all/linux";
import { LOG_NOTICE, LOG_WARNING } from "../log.ts";
import type { Context } from "./context.ts";
import { isInit, readInitName } from "./init.ts";
import { listProcesses, readPidNamespace, scanProcesses } from "./process-scan.ts";
import type { Registry } from "./registry.ts";

interface FoundInit {
  readonly pid: number;
  readonly inode: number;
  readonly name: string;
}

/**
 * Fills the registry.
 * @param cgroupPids the processes of the daemon's own cgroup: inits among them that the
 *   store does not know are adopted where other processes live with them, else ended
 * @param ownInode of the daemon's PID namespace
 */
export function restore(
  context: Context,
  registry: Registry,
  cgroupPids: readonly number[],
  ownInode: number,
): void {
  const stored = context.store.restore();
  const inodes = stored.flatMap(({ pid, directory }) => (pid ? [directory.inode("pid")] : []));
  const initPids = findInitPids(new Set(inodes));
  for (const found of stored) {
    const entry = registry.create(found.name, found.directory);
    entry.restore(found, initPids);
    if (entry.isEmpty && !entry.isLeased) registry.remove(entry);
    else registry.touch(entry);
  }
  if (registry.size > 0)
    context.log(LOG_NOTICE, `restored ${registry.size} names of an earlier run`);
  adoptUnknown(context, registry, findInits(cgroupPids), ownInode);
}

/**
 * The first process of each of these PID namespaces, by inode. Little is read of other
 * processes: a command line is in the memory of its process, and one that is mapped to
 * a file of FUSE can keep its reader waiting for ever.
 */
function findInitPids(inodes: ReadonlySet<number>): Map<number, number> {
  const found = new Map<number, number>();
  if (inodes.size === 0) return found;
  for (const pid of listProcesses()) {
    const inode = readPidNamespace(pid);
    if (inode !== undefined && inodes.has(inode) && isInit(pid)) found.set(inode, pid);
  }
  return found;
}

function findInits(pids: readonly number[]): FoundInit[] {
  return pids.flatMap((pid) => {
    const name = readInitName(pid);
    const inode = name === undefined ? undefined : readPidNamespace(pid);
    return name === undefined || inode === undefined ? [] : [{ pid, inode, name }];
  });
}

/**
 * An init without an entry was made right before the daemon was killed, or its store is
 * lost. Only in the second case somebody may have been told of it.
 */
function adoptUnknown(
  context: Context,
  registry: Registry,
  inits: readonly FoundInit[],
  ownInode: number,
): void {
  const known = new Set([...registry.entries()].map(({ init }) => init?.pid));
  const unknown = inits.filter(({ pid }) => !known.has(pid));
  if (unknown.length === 0) return;
  const scan = scanProcesses(unknown, ownInode);
  let step = scan.next();
  while (step.done !== true) step = scan.next();
  for (const init of unknown) {
    const { name, pid, inode } = init;
    if (!step.value.has(inode)) {
      context.log(LOG_NOTICE, `ended an idle init of an earlier run: ${name} (pid ${pid})`);
      killInit(pid, inode);
    } else if (adopt(registry, init)) {
      context.log(
        LOG_WARNING,
        `adopted a busy init that the store did not know: ${name} (pid ${pid})`,
      );
    }
  }
}

/** Through a pidfd, so that no other process is hit. */
function killInit(pid: number, inode: number): void {
  using pidfd = tryPidfdOpen(pid);
  if (pidfd !== undefined && readPidNamespace(pid) === inode)
    pidfdSendSignal(pidfd.number, SIGKILL);
}

function adopt(registry: Registry, { name, pid, inode }: FoundInit): boolean {
  // Two busy namespaces of one name: both have to live, so the second gets a name that
  // no client can ask for, and ends once it is idle.
  const free = registry.get(name)?.init === undefined ? name : `${name}\u00a0${pid}`;
  const entry = registry.get(free) ?? registry.create(free);
  if (!entry.adoptUnknownInit(pid, inode)) {
    registry.removeIfUseless(free);
    return false;
  }
  registry.touch(entry);
  return true;
}
