/**
 * What cgroup2 says about a tree of cgroups. A file that is missing (its controller is
 * not enabled, or the kernel is older) leaves its value undefined.
 * @see the kernel's Documentation/admin-guide/cgroup-v2.rst
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "@cm4all/command/files";

/** A limit as the kernel shows it; its `max` is `infinity` here, as in systemd's units. */
export type Limit = number | "infinity";

export interface CgroupUsage {
  readonly cpuUsec?: number | undefined;
  readonly memoryBytes?: number | undefined;
  readonly memoryPeakBytes?: number | undefined;
  readonly memoryHighBytes?: Limit | undefined;
  readonly memoryMaxBytes?: Limit | undefined;
  readonly swapBytes?: number | undefined;
  readonly swapMaxBytes?: Limit | undefined;
  readonly zswapBytes?: number | undefined;
  readonly tasks?: number | undefined;
  readonly tasksPeak?: number | undefined;
  readonly tasksMax?: Limit | undefined;
}

export interface CgroupNode {
  readonly name: string;
  readonly usage: CgroupUsage;
  readonly children: readonly CgroupNode[];
}

/** Parses `/proc/self/mountinfo`: where the first cgroup2 is mounted. @see proc(5) */
export function parseCgroup2Mount(mountinfo: string): string | undefined {
  for (const line of mountinfo.split("\n")) {
    const [before = "", after = ""] = line.split(" - ", 2);
    const mountPoint = before.split(" ")[4];
    if (after.startsWith("cgroup2 ") && mountPoint !== undefined)
      return mountPoint.replace(/\\([0-7]{3})/g, (_, octal: string) =>
        String.fromCharCode(Number.parseInt(octal, 8)),
      );
  }
  return undefined;
}

export function findCgroup2(): string | undefined {
  return parseCgroup2Mount(readFileSync("/proc/self/mountinfo", "utf8"));
}

/** Parses `cpu.stat`: the CPU time used, in microseconds. */
export function parseCpuUsage(cpuStat: string): number | undefined {
  const usage = /^usage_usec (\d+)$/m.exec(cpuStat)?.[1];
  return usage === undefined ? undefined : Number(usage);
}

export function parseNumber(text: string): number | undefined {
  return /^\d+$/.test(text.trim()) ? Number(text) : undefined;
}

export function parseLimit(text: string): Limit | undefined {
  return text.trim() === "max" ? "infinity" : parseNumber(text);
}

/** What `parse` makes of a file of the cgroup, or undefined where there is no such file. */
function tryRead<T>(directory: string, file: string, parse: (text: string) => T): T | undefined {
  try {
    return parse(readFileSync(join(directory, file), "utf8"));
  } catch (error) {
    // ENODEV: the cgroup was removed after its file was opened.
    if (isErrno(error, "ENOENT", "ENODEV")) return undefined;
    throw error;
  }
}

/** Reads the usage of the cgroup `directory`. */
export function readUsage(directory: string): CgroupUsage {
  return {
    cpuUsec: tryRead(directory, "cpu.stat", parseCpuUsage),
    memoryBytes: tryRead(directory, "memory.current", parseNumber),
    memoryPeakBytes: tryRead(directory, "memory.peak", parseNumber),
    memoryHighBytes: tryRead(directory, "memory.high", parseLimit),
    memoryMaxBytes: tryRead(directory, "memory.max", parseLimit),
    swapBytes: tryRead(directory, "memory.swap.current", parseNumber),
    swapMaxBytes: tryRead(directory, "memory.swap.max", parseLimit),
    zswapBytes: tryRead(directory, "memory.zswap.current", parseNumber),
    tasks: tryRead(directory, "pids.current", parseNumber),
    tasksPeak: tryRead(directory, "pids.peak", parseNumber),
    tasksMax: tryRead(directory, "pids.max", parseLimit),
  };
}

/**
 * Reads the cgroup `directory` and those below it.
 * @param descend whether to go on below a cgroup, by its name
 * @returns undefined where there is no such cgroup (any more)
 */
export function tryReadTree(
  directory: string,
  name: string,
  descend: (name: string) => boolean,
): CgroupNode | undefined {
  let names: string[];
  try {
    names = readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV")) return undefined;
    throw error;
  }
  const children = descend(name)
    ? names.sort().map((child) => tryReadTree(join(directory, child), child, descend))
    : [];
  return {
    name,
    usage: readUsage(directory),
    children: children.filter((child) => child !== undefined),
  };
}
