import type { ByteString } from "@cm4all/linux";
import type { CgroupUsage } from "./figures.ts";

/** A cgroup as it was measured once. */
export interface CgroupMeasurement extends CgroupUsage {
  /** Relative to the cgroup2 root, beginning with `/`. */
  readonly path: ByteString;
  /** The boot id and the directory's 64-bit inode: the same after a restart of the daemon. */
  readonly id: string;
  /** When the figures were read, milliseconds since 1970, with fractions. */
  readonly measuredMs: number;
  /** When the cgroup was created, milliseconds since 1970, with fractions. */
  readonly birthMs?: number | undefined;
}

/** A cgroup as it was measured when it ran empty. It crosses threads and, as JSON, a pipe. */
export interface CgroupSnapshot extends CgroupMeasurement {
  /** 1 for the first report of this id, 2 for the next, after it was populated again. */
  readonly report: number;
}
