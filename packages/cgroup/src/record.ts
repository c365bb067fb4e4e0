/**
 * The record of a cgroup. It is encoded as JSON once, and is passed between threads, written to
 * disk and sent to the script host in that form. Pure.
 */
import type { ByteString } from "@cm4all/linux";
import { figureEntries } from "./figures.ts";
import { packBytes, unpackBytes } from "./packed-bytes.ts";
import { limitPath } from "./path-limit.ts";
import type { CgroupRecord, CgroupSnapshot } from "./snapshot.ts";

/** A record in the form that it has in JSON: see packed-bytes.ts. */
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

/** Returns the record from its packed form. */
export function unpackRecord({ snapshot, xattrs }: PackedRecord): CgroupRecord {
  return {
    snapshot: { ...snapshot, path: unpackBytes(snapshot.path) },
    xattrs: xattrs.map((table) =>
      table.map(([name, value]) => [unpackBytes(name), unpackBytes(value)]),
    ),
  };
}

/** A record as JSON, with the fields that the daemon needs while it passes the record on. */
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

/** Encodes a record, with its path limited: see limitPath. */
export function encodeRecord(record: CgroupRecord): EncodedRecord {
  const limited = limitPath(record);
  return encoded(limited.snapshot, JSON.stringify(pack(limited)));
}

/** Decodes a record that `encodeRecord` has made; returns undefined if it is not a record. */
export function tryDecodeRecord(json: string): EncodedRecord | undefined {
  const record = tryParseRecord(json);
  return record === undefined ? undefined : encoded(record.snapshot, json);
}

/** Returns the record with another report number. */
export function withReport(record: EncodedRecord, report: number): EncodedRecord {
  if (record.report === report) return record;
  // The JSON is our own, so it is valid. Parsing it again is acceptable, because this is rare.
  const { snapshot, xattrs } = unpackRecord(JSON.parse(record.json) as PackedRecord);
  return encodeRecord({ snapshot: { ...snapshot, report }, xattrs });
}

/** Parses a record; returns undefined if it is not a record. */
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
 * Returns whether a value from JSON is a snapshot. Figures may be missing, but must be finite
 * numbers: JSON.parse turns 1e999 into Infinity.
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
