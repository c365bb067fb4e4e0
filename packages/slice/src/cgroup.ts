/**
 * Reads a tree of cgroups from cgroup2. If a file is missing (its controller is not enabled, or
 * the kernel is too old), its value is undefined.
 * @see the kernel's Documentation/admin-guide/cgroup-v2.rst
 */
import { readdirSync, readFileSync } from "node:fs";
// Only these modules are imported, because @cm4all/cgroup and @cm4all/linux as a whole load the
// ffi-rs addon.
import { tryFindCgroup2 } from "@cm4all/cgroup/mount";
import { parseFlatKeyed, parseSingleValue } from "@cm4all/cgroup/parse";
import { isErrno } from "@cm4all/command/files";
import {
  type ByteString,
  bytesOf,
  bytesOfText,
  joinPath,
  latin1Of,
  nodePathOf,
  textOf,
} from "@cm4all/linux/byte-string";

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
function tryRead<T>(
  directory: ByteString,
  file: string,
  parse: (text: string) => T,
): T | undefined {
  try {
    return parse(readFileSync(nodePathOf(joinPath(directory, bytesOfText(file))), "utf8"));
  } catch (error) {
    if (isOutOfReach(error)) return undefined;
    throw error;
  }
}

/**
 * Returns true for the errors of a file that cannot be reached: ENOENT if it does not exist; ENODEV
 * if its cgroup was removed after the file was opened; ENAMETOOLONG if cgroups are nested so deeply
 * that the path is longer than PATH_MAX.
 */
const isOutOfReach = (error: unknown): boolean =>
  isErrno(error, "ENOENT", "ENODEV", "ENAMETOOLONG");

/** Reads the usage of the cgroup `directory`. */
export function readUsage(directory: ByteString): CgroupUsage {
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
 * @returns undefined if there is no such cgroup (any more), or if its path is longer than PATH_MAX
 */
export function tryReadTree(
  directory: ByteString,
  name: string,
  descend: (name: string) => boolean,
): CgroupNode | undefined {
  let names: ByteString[];
  try {
    names = readdirSync(nodePathOf(directory), { withFileTypes: true, encoding: "buffer" })
      .filter((entry) => entry.isDirectory())
      .map((entry) => bytesOf(entry.name));
  } catch (error) {
    if (isOutOfReach(error)) return undefined;
    throw error;
  }
  const children: CgroupNode[] = [];
  if (descend(name))
    for (const child of names.sort((a, b) => (latin1Of(a) < latin1Of(b) ? -1 : 1))) {
      const node = tryReadTree(joinPath(directory, child), textOf(child), descend);
      if (node !== undefined) children.push(node);
    }
  return { name, usage: readUsage(directory), children };
}
