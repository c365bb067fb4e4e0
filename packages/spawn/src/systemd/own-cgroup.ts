/** Reads the daemon's own cgroup. @see cgroups(7), the kernel's cgroup-v2.rst */
import { readFileSync } from "node:fs";
import { tryFindCgroup2 } from "@cm4all/cgroup";
import { type ByteString, bytesOfLatin1, concatBytes, isErrno, nodePathOf } from "@cm4all/linux";

/**
 * Returns the cgroup2 path from `/proc/self/cgroup`; undefined without cgroup2. Pure.
 * @param text the file's text, one character for each byte
 */
export function parseOwnCgroup(text: string): ByteString | undefined {
  const path = /^0::(\/.*)$/m.exec(text)?.[1];
  return path === undefined ? undefined : bytesOfLatin1(path);
}

const PROCS_FILE = bytesOfLatin1("/cgroup.procs");

/** Returns the pids of the processes in the daemon's own cgroup; empty without cgroup2. */
export function readOwnCgroupPids(): number[] {
  const cgroup = parseOwnCgroup(readFileSync("/proc/self/cgroup", "latin1"));
  const mountPoint = tryFindCgroup2();
  if (cgroup === undefined || mountPoint === undefined) return [];
  try {
    return readFileSync(nodePathOf(concatBytes(mountPoint, cgroup, PROCS_FILE)), "latin1")
      .split("\n")
      .filter((line) => line !== "")
      .map(Number);
  } catch (error) {
    // The cgroup is threaded, or outside the daemon's cgroup namespace.
    if (isErrno(error, "EOPNOTSUPP", "ENOENT")) return [];
    throw error;
  }
}
