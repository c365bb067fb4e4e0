import type { ByteString } from "@cm4all/linux";
import type { CgroupUsage } from "./figures.ts";

/** A measurement of a cgroup. */
export interface CgroupMeasurement extends CgroupUsage {
  /** The path relative to the cgroup2 root, beginning with `/`. */
  readonly path: ByteString;
  /** The boot id and the directory's 64-bit inode number: the same after the daemon restarts. */
  readonly id: string;
  /** The time at which the figures were read, in milliseconds since 1970, with fractions. */
  readonly measuredMs: number;
  /** The time at which the cgroup was created, in milliseconds since 1970, with fractions. */
  readonly birthMs?: number | undefined;
}

/** A measurement that scripts get: of a cgroup that has become empty, or for an interim report. */
export interface CgroupSnapshot extends CgroupMeasurement {
  /**
   * 1 for the first report of this id, 2 for the next, after the cgroup was populated again. An
   * interim report has the number of the report that is to follow.
   */
  readonly report: number;
}

/** The extended attributes of a directory: full names (`user.account`) and values. */
export type XattrTable = readonly (readonly [name: ByteString, value: ByteString])[];

/**
 * Everything that a handler is given about a cgroup. By the time the handler runs, the cgroup's
 * directory may have been removed or reused.
 */
export interface CgroupRecord {
  readonly snapshot: CgroupSnapshot;
  /**
   * The tables of the cgroup, of its parent, and so on up to a child of the root, without empty
   * tables at the end.
   */
  readonly xattrs: readonly XattrTable[];
}
