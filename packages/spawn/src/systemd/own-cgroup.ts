/** The daemon's own cgroup. @see cgroups(7), cgroup-v2.rst of the kernel */
import { readFileSync } from "node:fs";
import { isErrno, tryFindCgroup2 } from "@cm4all/linux";

/** The cgroup2 path of `/proc/self/cgroup`, undefined without cgroup2. Pure. */
export function parseOwnCgroup(text: string): string | undefined {
  return /^0::(\/.*)$/m.exec(text)?.[1];
}

/** The processes of the daemon's own cgroup; empty without cgroup2. */
export function readOwnCgroupPids(): number[] {
  const cgroup = parseOwnCgroup(readFileSync("/proc/self/cgroup", "utf8"));
  const mountPoint = tryFindCgroup2();
  if (cgroup === undefined || mountPoint === undefined) return [];
  try {
    return readFileSync(`${mountPoint}${cgroup}/cgroup.procs`, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map(Number);
  } catch (error) {
    // A threaded cgroup, or one outside of our cgroup namespace.
    if (isErrno(error, "EOPNOTSUPP", "ENOENT")) return [];
    throw error;
  }
}
