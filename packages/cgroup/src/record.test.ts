import { expect, it } from "vitest";
import { tryDecodeRecord, tryParseRecord, withReport } from "./record.ts";

const snapshot = { path: "/a", id: "b:1", report: 1, measuredMs: 5.5 };
const parse = (more: object) =>
  tryParseRecord(JSON.stringify({ snapshot: { ...snapshot, ...more }, xattrs: [] }));

it("accepts a record, with figures and without", () => {
  expect(parse({})?.snapshot).toEqual(snapshot);
  expect(parse({ birthMs: 1.5, cpuTotalUsec: 7 })?.snapshot.cpuTotalUsec).toBe(7);
});

it.each([
  { report: 1.5 },
  { report: "1" },
  { measuredMs: null },
  { birthMs: "yesterday" },
  { cpuTotalUsec: "7" },
  { memoryPeakBytes: null },
  { path: 1 },
])("refuses %j", (more) => {
  expect(parse(more)).toBeUndefined();
});

it.each(["report", "measuredMs", "birthMs", "cpuTotalUsec"])("refuses an infinite %s", (name) => {
  const json = JSON.stringify({ snapshot: { ...snapshot, [name]: 0 }, xattrs: [] });
  expect(tryParseRecord(json.replace(`"${name}":0`, `"${name}":1e999`))).toBeUndefined();
});

it.each([
  "null",
  "5",
  "{}",
  '{"xattrs":[]}',
  '{"snapshot":null,"xattrs":[]}',
  '{"snapshot":"/a","xattrs":[]}',
  "no JSON",
])("refuses %s", (json) => {
  expect(tryParseRecord(json)).toBeUndefined();
  expect(tryDecodeRecord(json)).toBeUndefined();
});

it.each([
  "null",
  "{}",
  "[null]",
  "[{}]",
  '[["name"]]',
  '[["na"]]',
  '[[["name"]]]',
  '[[["name", 1]]]',
  '[[["name", "value", "more"]]]',
  '[[["name", "value"], ["name"]]]',
  '[[["name", "value"]], [[]]]',
])("refuses %s in place of the attributes", (xattrs) => {
  expect(
    tryParseRecord(`{"snapshot":${JSON.stringify(snapshot)},"xattrs":${xattrs}}`),
  ).toBeUndefined();
});

it("accepts several attributes of several cgroups", () => {
  const xattrs = [
    [
      ["a", "1"],
      ["b", ""],
    ],
    [],
    [["c", "2"]],
  ];
  expect(tryParseRecord(JSON.stringify({ snapshot, xattrs }))).toEqual({ snapshot, xattrs });
});

it("keeps the record itself if its report number does not change", () => {
  const record = tryDecodeRecord(JSON.stringify({ snapshot, xattrs: [] }));
  if (record === undefined) throw new Error("no record");
  expect(withReport(record, 1)).toBe(record);
  expect(withReport(record, 2)).toMatchObject({ report: 2, id: "b:1" });
});
