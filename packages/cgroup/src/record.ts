/** A cgroup as it is accounted. It crosses threads and, as JSON, the disk and a pipe. Pure. */
import type { ByteString } from "@cm4all/linux";
import type { CgroupSnapshot } from "./snapshot.ts";

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

/** Returns the record that `JSON.stringify` wrote; undefined if it is none. */
export function tryParseRecord(json: string): CgroupRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  return isRecord(value) ? value : undefined;
}

function isRecord(value: unknown): value is CgroupRecord {
  if (typeof value !== "object" || value === null) return false;
  const { snapshot, xattrs } = value as Partial<Record<keyof CgroupRecord, unknown>>;
  return isSnapshot(snapshot) && Array.isArray(xattrs) && xattrs.every(isXattrTable);
}

/** Returns whether what JSON has given is a snapshot: its figures are optional. */
export function isSnapshot(value: unknown): value is CgroupSnapshot {
  if (typeof value !== "object" || value === null) return false;
  const { path, id, report, measuredMs } = value as Record<string, unknown>;
  return (
    typeof path === "string" &&
    typeof id === "string" &&
    typeof report === "number" &&
    typeof measuredMs === "number"
  );
}

function isXattrTable(value: unknown): value is XattrTable {
  const isText = (each: unknown) => typeof each === "string";
  return (
    Array.isArray(value) &&
    value.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isText))
  );
}
