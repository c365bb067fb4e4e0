import { expect, it } from "vitest";
import { newTracked, type Tracked, TrackedRecords } from "./tracked.ts";

const tracked = (id: string, report: number, fields: Partial<Tracked> = {}) =>
  newTracked({ id, report, cpuTotalUsec: 7, ...fields });

it("a new report is neither written, handed over, withdrawn nor deleted", async () => {
  const report = tracked("a", 1);
  expect(report).toEqual({
    id: "a",
    report: 1,
    cpuTotalUsec: 7,
    number: undefined,
    isWritten: false,
    written: expect.any(Promise),
    record: undefined,
    fresh: undefined,
    release: undefined,
    isWithdrawn: false,
    isDeleted: false,
    isHandedOver: false,
    earlier: undefined,
  });
  expect(tracked("a", 1, { isWritten: true, number: 5 })).toMatchObject({
    isWritten: true,
    number: 5,
  });
  await report.written;
});

it("the latest report of a cgroup is found by the cgroup's id, and all reports by number", () => {
  const records = new TrackedRecords();
  const first = tracked("a", 1, { number: 1 });
  const second = tracked("a", 2, { earlier: first });
  const other = tracked("b", 1, { number: 3 });
  for (const each of [first, second, other]) records.add(each);
  expect(records.size).toBe(2);
  expect(records.latest()).toEqual([second, other]);
  expect(records.ofId("a")).toBe(second);
  expect(records.ofNumber(1)).toBe(first);
  expect(records.ofNumber(2)).toBeUndefined();
  second.number = 2;
  records.addNumber(second);
  expect(records.ofNumber(2)).toBe(second);
});

it("when the latest report is removed, the one before becomes the latest", () => {
  const records = new TrackedRecords();
  const first = tracked("a", 1, { number: 1 });
  const second = tracked("a", 2, { number: 2, earlier: first });
  for (const each of [first, second]) records.add(each);
  records.remove(second);
  expect(records.ofNumber(2)).toBeUndefined();
  expect(records.ofId("a")).toBe(first);
  records.remove(first);
  expect(records.ofId("a")).toBeUndefined();
  expect(records.size).toBe(0);
});

it("the removal of a report leaves the later reports of its cgroup in place", () => {
  const records = new TrackedRecords();
  const first = tracked("a", 1, { number: 1 });
  const second = tracked("a", 2, { number: 2 });
  for (const each of [first, second]) records.add(each);
  records.remove(first);
  expect(records.ofNumber(1)).toBeUndefined();
  expect(records.ofId("a")).toBe(second);
});
