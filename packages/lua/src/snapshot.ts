import type { CgroupUsage } from "@cm4all/linux";

/**
 * What the reaper measured of one cgroup when it ran empty. It crosses a pipe as
 * JSON. Whatever a kernel file or controller did not tell is undefined, never 0.
 */
export interface CgroupSnapshot extends CgroupUsage {
  /**
   * Relative to the cgroup2 root, beginning with `/`. A path is a string of bytes:
   * one character stands for one byte (`Buffer.toString("latin1")`).
   */
  path: string;
  /** The boot id and the directory's 64-bit inode: the same after a restart of the daemon. */
  id: string;
  /** 1 for the first report of this id, 2 for the next, after it was populated again. */
  report: number;
  /** When the figures were read, milliseconds since 1970, with fractions. */
  measuredMs: number;
  /** When the cgroup was created, milliseconds since 1970, with fractions. */
  birthMs?: number | undefined;
}
