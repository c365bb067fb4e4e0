/** Finds and ends the processes in a network namespace. @see proc_pid_ns(5) */
import { readdirSync, readlinkSync } from "node:fs";
import { isErrno, parseNamespaceLink } from "@cm4all/linux";

/** Returns the pids of all processes that we see, by the inode of their network namespace. */
export function processesByNetns(): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const link = lookAtNetns(pid, (path) => readlinkSync(path));
    if (link === undefined) continue;
    const inode = parseNamespaceLink(link);
    const pids = found.get(inode);
    if (pids === undefined) found.set(inode, [pid]);
    else pids.push(pid);
  }
  return found;
}

/**
 * Returns the result of `look` for the network namespace of a process; undefined if the process has
 * ended or may not be inspected. If the first thread of the process has ended, as after
 * pthread_exit(3) in main(), the namespace is that of another thread.
 * @param look gets the path of the namespace
 * @throws the error of `look`, unless that means that there is no such thread (any more)
 */
export function lookAtNetns<T>(pid: number, look: (path: string) => T): T | undefined {
  const found = orGone(() => look(`/proc/${pid}/ns/net`));
  if (found !== undefined) return found;
  for (const thread of orGone(() => readdirSync(`/proc/${pid}/task`)) ?? []) {
    const ofThread = orGone(() => look(`/proc/${pid}/task/${thread}/ns/net`));
    if (ofThread !== undefined) return ofThread;
  }
  return undefined;
}

function orGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES")) return undefined;
    throw error;
  }
}

/** How long killed processes may take to end. */
const END_TIMEOUT_MS = 2000;
const END_POLL_MS = 2;

/**
 * Kills all processes in the namespace with that inode, and those that they start meanwhile,
 * and waits until they have ended.
 * @throws Error with the pids of processes that do not end, such as one that waits for a broken
 * disk
 */
export function endProcesses(netnsInode: number): void {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (
    const deadline = performance.now() + END_TIMEOUT_MS;
    ;
    Atomics.wait(clock, 0, 0, END_POLL_MS)
  ) {
    const pids = processesByNetns().get(netnsInode) ?? [];
    if (pids.length === 0) return;
    if (performance.now() > deadline) throw new Error(`processes do not end: ${pids.join(" ")}`);
    for (const pid of pids)
      try {
        process.kill(pid, "SIGKILL");
      } catch (error) {
        if (!isErrno(error, "ESRCH")) throw error;
      }
  }
}
