/** Explains why some figures of cgroups are missing on a host. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * The figures that not every host has. `legacy` is the controller's name in cgroup v1, `since` the
 * first version of the kernel that has the file.
 */
const FIGURES = [
  { title: "memory", controller: "memory", legacy: "memory", file: "memory.peak", since: "5.19" },
  { title: "processes", controller: "pids", legacy: "pids", file: "pids.peak", since: "6.1" },
  { title: "input and output", controller: "io", legacy: "blkio", file: "io.stat", since: "4.5" },
];

export interface HostControllers {
  /** The controllers in cgroup.controllers of the root: those of cgroup2. */
  readonly root: readonly string[];
  /**
   * The controllers in cgroup.controllers of the scope: those that are enabled all the way down
   * to it.
   */
  readonly scope: readonly string[];
  /** The controllers of cgroup v1 hierarchies, under their names there. */
  readonly legacy: readonly string[];
  /** Returns true if a cgroup in the scope has the file. */
  readonly has: (file: string) => boolean;
}

/** Returns a line for each reason, with the figures that are missing for that reason. Pure. */
export function explainMissing(host: HostControllers): string[] {
  const byReason = new Map<string, string[]>();
  for (const { title, controller, legacy, file, since } of FIGURES) {
    if (host.has(file)) continue;
    let reason: string;
    if (host.scope.includes(controller)) reason = `this kernel is older than ${since}`;
    else if (host.root.includes(controller))
      reason = "cgroup.subtree_control of the root does not have the controller";
    else if (host.legacy.includes(legacy)) reason = "cgroup v1 has the controller on this host";
    else reason = "this kernel has no such controller";
    byReason.set(reason, [...(byReason.get(reason) ?? []), title]);
  }
  return [...byReason].map(([reason, titles]) => `${titles.join(", ")}: ${reason}`);
}

/** Returns the controllers of cgroup v1 hierarchies in the text of /proc/cgroups. Pure. */
export function parseLegacyControllers(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.split("\t"))
    .filter(([name, hierarchy]) => name?.startsWith("#") === false && Number(hierarchy) > 0)
    .map(([name = ""]) => name);
}

/**
 * Returns the controllers that are available in a cgroup.
 * @param cgroup its directory
 * @throws system errors
 */
export function readControllers(cgroup: string): string[] {
  const text = readFileSync(join(cgroup, "cgroup.controllers"), "utf8").trim();
  return text === "" ? [] : text.split(" ");
}

/**
 * Reads what `explainMissing` has to know about this host.
 * @param mount the mount point of cgroup2
 * @param scope the directory of the scope
 * @param inside the directory of a cgroup in the scope
 */
export function readHostControllers(mount: string, scope: string, inside: string): HostControllers {
  return {
    root: readControllers(mount),
    scope: readControllers(scope),
    legacy: parseLegacyControllers(readFileSync("/proc/cgroups", "utf8")),
    has: (file) => existsSync(join(inside, file)),
  };
}
