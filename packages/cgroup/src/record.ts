/** A cgroup as it is accounted: it crosses a thread, the disk and a socket as JSON, made once. Pure. */
import type { ByteString } from "@cm4all/linux";
import { figureEntries } from "./figures.ts";
import { packBytes, unpackBytes } from "./packed-bytes.ts";
import { limitPath } from "./path-limit.ts";
import type { CgroupRecord, CgroupSnapshot } from "./snapshot.ts";

/** A record as it stands in JSON: see packed-bytes.ts. */
export interface PackedRecord {
  readonly snapshot: Omit<CgroupSnapshot, "path"> & { readonly path: string };
  readonly xattrs: readonly (readonly (readonly [name: string, value: string])[])[];
}

function pack({ snapshot, xattrs }: CgroupRecord): PackedRecord {
  return {
    snapshot: { ...snapshot, path: packBytes(snapshot.path) },
    xattrs: xattrs.map((table) =>
      table.map(([name, value]) => [packBytes(name), packBytes(value)]),
    ),
  };
}

/** Returns the record that was packed. */
export function unpackRecord({ snapshot, xattrs }: PackedRecord): CgroupRecord {
  return {
    snapshot: { ...snapshot, path: unpackBytes(snapshot.path) },
    xattrs: xattrs.map((table) =>
      table.map(([name, value]) => [unpackBytes(name), unpackBytes(value)]),
    ),
  };
}

/** A record as JSON, with what the daemon asks of it on its way. */
export interface EncodedRecord {
  readonly json: string;
  readonly path: ByteString;
  readonly id: string;
  readonly report: number;
  readonly cpuTotalUsec?: number | undefined;
}

function encoded({ path, id, report, cpuTotalUsec }: CgroupSnapshot, json: string): EncodedRecord {
  return { json, path, id, report, cpuTotalUsec };
}

/** Encodes a record, with a path that is not too long: see limitPath. */
export function encodeRecord(record: CgroupRecord): EncodedRecord {
  const limited = limitPath(record);
  return encoded(limited.snapshot, JSON.stringify(pack(limited)));
}

/** Returns what `encodeRecord` made; undefined if it is no record. */
export function tryDecodeRecord(json: string): EncodedRecord | undefined {
  const record = tryParseRecord(json);
  return record === undefined ? undefined : encoded(record.snapshot, json);
}

/** Returns the same record as another report of its cgroup. */
export function withReport(record: EncodedRecord, report: number): EncodedRecord {
  if (record.report === report) return record;
  // It is our own, and seldom.
  const { snapshot, xattrs } = unpackRecord(JSON.parse(record.json) as PackedRecord);
  return encodeRecord({ snapshot: { ...snapshot, report }, xattrs });
}

/** Returns the record that was encoded; undefined if it is none. */
export function tryParseRecord(json: string): CgroupRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  return isRecord(value) ? unpackRecord(value) : undefined;
}

function isRecord(value: unknown): value is PackedRecord {
  if (typeof value !== "object" || value === null) return false;
  const { snapshot, xattrs } = value as Partial<Record<keyof CgroupRecord, unknown>>;
  return isSnapshot(snapshot) && Array.isArray(xattrs) && xattrs.every(isXattrTable);
}

/**
 * Returns whether what JSON has given is a snapshot: its figures are optional, and numbers that
 * can be counted with, which 1e999 is not.
 */
export function isSnapshot(value: unknown): value is CgroupSnapshot {
  if (typeof value !== "object" || value === null) return false;
  const figures = value as Record<string, unknown>;
  const { path, id, report, measuredMs, birthMs } = figures;
  return (
    typeof path === "string" &&
    typeof id === "string" &&
    Number.isSafeInteger(report) &&
    Number.isFinite(measuredMs) &&
    isFigure(birthMs) &&
    figureEntries.every(([name]) => isFigure(figures[name]))
  );
}

function isFigure(value: unknown): boolean {
  return value === undefined || Number.isFinite(value);
}

function isXattrTable(value: unknown): value is PackedRecord["xattrs"][number] {
  const isText = (each: unknown) => typeof each === "string";
  return (
    Array.isArray(value) &&
    value.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isText))
  );
}
