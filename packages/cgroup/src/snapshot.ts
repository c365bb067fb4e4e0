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

/** The extended attributes of a directory: full names (`user.account`) and values. */
export type XattrTable = readonly (readonly [name: ByteString, value: ByteString])[];

/** All that a handler can ask of a cgroup whose directory may be gone, or another's, by then. */
export interface CgroupRecord {
  readonly snapshot: CgroupSnapshot;
  /**
   * Of the cgroup, of its parent, and so on up to a child of the root; without the empty
   * tables at the end.
   */
  readonly xattrs: readonly XattrTable[];
}
