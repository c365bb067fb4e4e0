/**
 * The figures of a cgroup, and the forms that they take: a snapshot, a record, the attributes that
 * scripts see.
 */
export { scriptAttributes } from "./attributes.ts";
export { type CgroupUsage, type FigureName, figureEntries } from "./figures.ts";
export { tryFindCgroup2 } from "./mount.ts";
export { parseCpuTotalUsec, parsePopulated } from "./parse.ts";
export { limitPath, MAX_PATH_BYTES } from "./path-limit.ts";
export { CgroupReader } from "./reader.ts";
export {
  type EncodedRecord,
  encodeRecord,
  isSnapshot,
  type PackedRecord,
  tryDecodeRecord,
  tryParseRecord,
  unpackRecord,
  withReport,
} from "./record.ts";
export { recordSize, tableSize } from "./record-size.ts";
export type { CgroupMeasurement, CgroupRecord, CgroupSnapshot, XattrTable } from "./snapshot.ts";
export { limitXattrs, readXattrs } from "./xattrs.ts";
