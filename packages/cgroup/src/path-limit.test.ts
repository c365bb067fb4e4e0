import { bytesOfLatin1, bytesOfText, latin1Of } from "@cm4all/linux";
import { expect, it } from "vitest";
import { limitPath, MAX_PATH_BYTES } from "./path-limit.ts";
import { encodeRecord } from "./record.ts";
import type { XattrTable } from "./snapshot.ts";

const MAX_JOURNAL_BYTES = 16 * 1024 * 1024;

function record(levels: number, name: string, xattrs: XattrTable[] = []) {
  const path = bytesOfLatin1(`/${name}`.repeat(levels));
  return { snapshot: { path, id: "a", report: 1, measuredMs: 0, cpuTotalUsec: 5 }, xattrs };
}

it("leaves ordinary paths alone, including those that are too long for a system call", () => {
  const long = record(4000, "x".repeat(255));
  expect(limitPath(long)).toBe(long);
});

it("replaces a longer path and its attributes with those of an ancestor, and keeps the figures", () => {
  const table = (value: string): XattrTable => [[bytesOfText("user.level"), bytesOfText(value)]];
  const levels = 5000;
  const tables = Array.from({ length: levels }, (_, i) => table(String(levels - i)));
  const { snapshot, xattrs } = limitPath(record(levels, "\x01".repeat(255), tables));
  const { length } = latin1Of(snapshot.path);
  const kept = length / 256;
  expect(Number.isInteger(kept)).toBe(true);
  expect(length).toBeLessThanOrEqual(MAX_PATH_BYTES);
  expect(length).toBeGreaterThan(MAX_PATH_BYTES - 256);
  expect([snapshot.id, snapshot.cpuTotalUsec]).toEqual(["a", 5]);
  expect(xattrs).toHaveLength(kept);
  expect(xattrs[0]).toEqual(table(String(kept)));
});

it("applies to every record that is encoded, so that a journal accepts it", () => {
  const value = bytesOfLatin1("\x01".repeat(4096));
  const tables: XattrTable[] = [
    Array.from({ length: 64 }, (_, i) => [bytesOfText(`user.${i}`), value]),
  ];
  const { json, path } = encodeRecord(
    record(50_000, "\x01".repeat(255), [...new Array<XattrTable>(45_999).fill([]), ...tables]),
  );
  expect(Buffer.byteLength(json)).toBeLessThan(MAX_JOURNAL_BYTES);
  expect(latin1Of(path).length).toBeLessThanOrEqual(MAX_PATH_BYTES);
});
