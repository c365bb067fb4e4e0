/** The daemon's own cgroup. @see cgroups(7), cgroup-v2.rst of the kernel */
import { readFileSync } from "node:fs";
import { isErrno } from "@cm4all/linux";

/** The cgroup2 path of `/proc/self/cgroup`, undefined without cgroup2. Pure. */
export function parseOwnCgroup(text: string): string | undefined {
  return /^0::(\/.*)$/m.exec(text)?.[1];
}

/** Where cgroup2 is mounted with its root visible, by `/proc/self/mountinfo`. Pure. */
export function parseCgroup2Mount(mountinfo: string): string | undefined {
  for (const line of mountinfo.split("\n")) {
    const [fields, fileSystem] = line.split(" - ");
    if (!fileSystem?.startsWith("cgroup2 ")) continue;
    const [, , , root, mountPoint] = fields?.split(" ") ?? [];
    if (root === "/" && mountPoint !== undefined) return unescapeMountinfo(mountPoint);
  }
  return undefined;
}

/** Undoes the octal escapes of white space. @see proc_pid_mountinfo(5) */
function unescapeMountinfo(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** The processes of the daemon's own cgroup; empty without cgroup2. */
export function readOwnCgroupPids(): number[] {
  const cgroup = parseOwnCgroup(readFileSync("/proc/self/cgroup", "utf8"));
  const mountPoint = parseCgroup2Mount(readFileSync("/proc/self/mountinfo", "utf8"));
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
