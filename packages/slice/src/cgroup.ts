/**
 * Reads a tree of cgroups from cgroup2. If a file is missing (its controller is not enabled, or
 * the kernel is too old), its value is undefined.
 * @see the kernel's Documentation/admin-guide/cgroup-v2.rst
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
// Only these modules are imported, because @cm4all/cgroup and @cm4all/linux as a whole load the
// ffi-rs addon.
import { tryFindCgroup2 } from "@cm4all/cgroup/mount";
import { parseFlatKeyed, parseSingleValue } from "@cm4all/cgroup/parse";
import { isErrno } from "@cm4all/command/files";
import { textOf } from "@cm4all/linux/byte-string";

/** A limit of the kernel; its `max` becomes `infinity`, as in systemd's units. */
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

/**
 * Returns the mount point of cgroup2; undefined if it is not mounted.
 * @throws Node's system error if there is no /proc
 */
export function findCgroup2(): string | undefined {
  const mountPoint = tryFindCgroup2();
  return mountPoint === undefined ? undefined : textOf(mountPoint);
}

/** Parses the file of a limit, such as `memory.max`. */
export function parseLimit(text: string): Limit | undefined {
  return text === "max\n" ? "infinity" : parseSingleValue(text);
}

/** Reads and parses a file of the cgroup; returns undefined if there is no such file. */
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
    cpuUsec: tryRead(directory, "cpu.stat", parseFlatKeyed)?.get("usage_usec"),
    memoryBytes: tryRead(directory, "memory.current", parseSingleValue),
    memoryPeakBytes: tryRead(directory, "memory.peak", parseSingleValue),
    memoryHighBytes: tryRead(directory, "memory.high", parseLimit),
    memoryMaxBytes: tryRead(directory, "memory.max", parseLimit),
    swapBytes: tryRead(directory, "memory.swap.current", parseSingleValue),
    swapMaxBytes: tryRead(directory, "memory.swap.max", parseLimit),
    zswapBytes: tryRead(directory, "memory.zswap.current", parseSingleValue),
    tasks: tryRead(directory, "pids.current", parseSingleValue),
    tasksPeak: tryRead(directory, "pids.peak", parseSingleValue),
    tasksMax: tryRead(directory, "pids.max", parseLimit),
  };
}

/**
 * Reads the cgroup `directory` and the cgroups below it.
 * @param descend returns true if the children of a cgroup with the given name are to be read
 * @returns undefined if there is no such cgroup (any more)
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
