/** Finds the processes that hold the leases of names or run in their PID namespaces. */
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { isErrno, parseNamespaceLink } from "@cm4all/linux";
import type { NameStatus } from "../namespaces/names/name-status.ts";

export interface FoundProcess {
  readonly pid: number;
  /** The name of the process; see /proc/pid/comm in proc(5). */
  readonly command: string;
}

/** A name with the processes that use it. */
export interface NameWithProcesses extends NameStatus {
  /**
   * Processes that have the write end of the lease pipe open. While a lease is in a message that
   * has not been received yet, no process holds it.
   */
  readonly leaseHolders: readonly FoundProcess[];
  /** Processes in the name's PID namespace, without the init and those in nested PID namespaces. */
  readonly processes: readonly FoundProcess[];
}

/**
 * Adds to each name the processes that use it, in one pass over /proc. Only root sees the
 * descriptors of all processes.
 */
export function withProcesses(names: readonly NameStatus[]): NameWithProcesses[] {
  const holders = new Map<string, FoundProcess[]>();
  const inhabitants = new Map<number, FoundProcess[]>();
  const found = names.map((name): NameWithProcesses => {
    const leaseHolders: FoundProcess[] = [];
    const processes: FoundProcess[] = [];
    const { leasePipe, isLeased, init } = name;
    if (leasePipe !== undefined && isLeased)
      holders.set(`${leasePipe.device}:${leasePipe.inode}`, leaseHolders);
    if (init !== undefined) inhabitants.set(init.inode, processes);
    return { ...name, leaseHolders, processes };
  });
  const inits = new Set(names.flatMap(({ init }) => init?.pid ?? []));
  for (const pid of listPids()) {
    const namespace = inhabitants.size === 0 ? undefined : tryReadPidNamespace(pid);
    const lists = [
      ...(namespace === undefined || inits.has(pid) ? [] : [inhabitants.get(namespace)]),
      ...(holders.size === 0 ? [] : writtenPipes(pid).map((pipe) => holders.get(pipe))),
    ];
    for (const list of lists) list?.push({ pid, command: readCommand(pid) });
  }
  return found;
}

function listPids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Returns the lease pipes that a process can write to, as device and inode, without duplicates. */
function writtenPipes(pid: number): string[] {
  const directory = `/proc/${pid}/fd`;
  const pipes = new Set<string>();
  for (const fd of orGone(() => readdirSync(directory)) ?? []) {
    const path = `${directory}/${fd}`;
    const pipe = orGone(() => {
      // The permissions of the link show how the descriptor was opened. The daemon itself has only
      // the read end.
      if (!readlinkSync(path).endsWith("/lease") || (lstatSync(path).mode & 0o200) === 0) return "";
      const { dev, ino } = statSync(path);
      return `${dev}:${ino}`;
    });
    if (pipe !== undefined && pipe !== "") pipes.add(pipe);
  }
  return [...pipes];
}

function tryReadPidNamespace(pid: number): number | undefined {
  return orGone(() => parseNamespaceLink(readlinkSync(`/proc/${pid}/ns/pid`)));
}

function readCommand(pid: number): string {
  return orGone(() => readFileSync(`/proc/${pid}/comm`, "utf8").trimEnd()) ?? "?";
}

/**
 * Returns the result of `look`; undefined if the process has ended or may not be inspected, or if a
 * link's target is longer than readlink(2) can return (ENAMETOOLONG): that is not a lease pipe.
 */
function orGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES", "EPERM", "ENAMETOOLONG")) return undefined;
    throw error;
  }
}
