/** Finds and ends the processes in a network namespace. @see proc_pid_ns(5) */
import { readdirSync, readlinkSync } from "node:fs";
import { isErrno, parseNamespaceLink } from "@cm4all/linux";

/** Returns the pids of all processes that we see, by the inode of their network namespace. */
export function processesByNetns(): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    let link: string;
    try {
      link = readlinkSync(`/proc/${pid}/ns/net`);
    } catch (error) {
      // The process has ended, is a zombie, or is one that we may not inspect.
      if (isErrno(error, "ENOENT", "ESRCH", "EACCES")) continue;
      throw error;
    }
    const inode = parseNamespaceLink(link);
    const pids = found.get(inode);
    if (pids === undefined) found.set(inode, [pid]);
    else pids.push(pid);
  }
  return found;
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
  for (const deadline = Date.now() + END_TIMEOUT_MS; ; Atomics.wait(clock, 0, 0, END_POLL_MS)) {
    const pids = processesByNetns().get(netnsInode) ?? [];
    if (pids.length === 0) return;
    if (Date.now() > deadline) throw new Error(`processes do not end: ${pids.join(" ")}`);
    for (const pid of pids)
      try {
        process.kill(pid, "SIGKILL");
      } catch (error) {
        if (!isErrno(error, "ESRCH")) throw error;
      }
  }
}
