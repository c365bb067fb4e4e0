/** Finds the mount point of cgroup2. The module loads no native code, so any command can use it. */
import { type ByteString, latin1Of } from "@cm4all/linux/byte-string";
import { type MountedFileSystem, readMountinfo } from "@cm4all/linux/mountinfo";

/**
 * Returns the mount point of the whole cgroup2 hierarchy. If it is mounted several times, returns
 * the first mount point, which is the system's: those of containers come later. Pure.
 */
export function findCgroup2Mount(mounts: readonly MountedFileSystem[]): ByteString | undefined {
  return mounts.find(({ fileSystem, root }) => fileSystem === "cgroup2" && latin1Of(root) === "/")
    ?.mountPoint;
}

/** Returns the mount point of cgroup2; undefined if it is not mounted. */
export function tryFindCgroup2(): ByteString | undefined {
  return findCgroup2Mount(readMountinfo());
}
