import { expect, it } from "vitest";
import { tryParseRecord } from "./record.ts";

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
