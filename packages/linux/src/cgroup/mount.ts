import { type MountedFileSystem, readMountinfo } from "../mountinfo.ts";

/**
 * Where the whole hierarchy of cgroup2 is mounted; of several mounts the first, which
 * is the system's: those of containers come later. Pure.
 */
export function findCgroup2Mount(mounts: readonly MountedFileSystem[]): string | undefined {
  return mounts.find(({ fileSystem, root }) => fileSystem === "cgroup2" && root === "/")
    ?.mountPoint;
}

/** The mount point of cgroup2, bytes as latin1; undefined where it is not mounted. */
export function tryFindCgroup2(): string | undefined {
  return findCgroup2Mount(readMountinfo());
}
