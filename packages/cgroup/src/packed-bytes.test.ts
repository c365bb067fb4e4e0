import { bytesOfLatin1, latin1Of } from "@cm4all/linux";
import { expect, it } from "vitest";
import { packBytes, unpackBytes } from "./packed-bytes.ts";
import { MAX_PATH_BYTES } from "./path-limit.ts";
import { encodeRecord, tryDecodeRecord, tryParseRecord, withReport } from "./record.ts";

const ALL = bytesOfLatin1(String.fromCharCode(...Array(256).keys()));

const record = (path = ALL) => ({
  snapshot: { path, id: "a", report: 1, measuredMs: 0.5, cpuTotalUsec: 5 },
  xattrs: [[[ALL, ALL]], []] as const,
});

it("every byte survives a round trip, and takes at most two bytes of JSON, without an escape", () => {
  expect(latin1Of(unpackBytes(packBytes(ALL)))).toBe(latin1Of(ALL));
  for (const character of latin1Of(ALL)) {
    const json = JSON.stringify(packBytes(bytesOfLatin1(character)));
    expect(Buffer.byteLength(json)).toBeLessThanOrEqual(4);
    expect(json).not.toContain("\\");
  }
});

it("a record survives a round trip, also with another report number", () => {
  const encoded = encodeRecord(record());
  expect(tryParseRecord(encoded.json)).toEqual(record());
  expect(tryDecodeRecord(encoded.json)).toEqual(encoded);
  const { json, path, report } = withReport(encoded, 2);
  expect(tryParseRecord(json)?.snapshot).toEqual({ ...record().snapshot, report: 2 });
  expect([latin1Of(path), report]).toEqual([latin1Of(ALL), 2]);
});

it("a record of an earlier version, which has escapes, keeps its meaning", () => {
  const json = JSON.stringify(record());
  expect(json).toContain("\\u0001");
  expect(tryParseRecord(json)).toEqual(record());
  expect(tryDecodeRecord(json)?.path).toBe(ALL);
});

it("the longest path of control characters takes two bytes for each character", () => {
  const path = bytesOfLatin1(`/${"\x01".repeat(MAX_PATH_BYTES - 1)}`);
  expect(Buffer.byteLength(encodeRecord(record(path)).json)).toBeLessThan(
    2 * MAX_PATH_BYTES + 2000,
  );
});

it("replaces only control characters, quotation marks and backslashes", () => {
  const pack = (text: string) => packBytes(bytesOfLatin1(text));
  expect(pack(" !#[]~\x7f\xff")).toBe(" !#[]~\x7f\xff");
  expect(pack(' a\x00\x1f"\\\xff')).toBe(" a\u0100\u011f\u0122\u015c\xff");
});
