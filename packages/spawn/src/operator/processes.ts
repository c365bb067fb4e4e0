/** Which processes hold the leases of names, and which live in their PID namespaces. */
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { isErrno, parseNamespaceLink } from "@cm4all/linux";
import type { NameStatus } from "../namespaces/names/name-status.ts";

export interface FoundProcess {
  readonly pid: number;
  /** As comm of proc(5). */
  readonly command: string;
}

/** A name and the processes that have to do with it. */
export interface NameWithProcesses extends NameStatus {
  /** Who has a write end of its lease pipe open; a lease that is on its way has no holder. */
  readonly leaseHolders: readonly FoundProcess[];
  /** Who lives in its PID namespace besides the init; not those in namespaces below it. */
  readonly processes: readonly FoundProcess[];
}

/** Looks through /proc once, for any number of names. Root sees all of it. */
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

/** The pipes with the name of leases that a process can write to: device and inode, each once. */
function writtenPipes(pid: number): string[] {
  const directory = `/proc/${pid}/fd`;
  const pipes = new Set<string>();
  for (const fd of orGone(() => readdirSync(directory)) ?? []) {
    const path = `${directory}/${fd}`;
    const pipe = orGone(() => {
      // The mode of the link is that of the descriptor: the daemon only reads.
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

/** Returns undefined for a process that has ended, or that we may not look at. */
function orGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) return undefined;
    throw error;
  }
}
