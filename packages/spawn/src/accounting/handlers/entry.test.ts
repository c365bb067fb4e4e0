import { encodeRecord } from "@cm4all/cgroup";
import { bytesOfText } from "@cm4all/linux";
import { expect, it } from "vitest";
import { isLarge, nameOf, newEntry } from "./entry.ts";

/** Returns a waiting record of the cgroup at this path. */
function waiting(path: string) {
  const snapshot = { path: bytesOfText(path), id: "boot:1", report: 1, measuredMs: 0 };
  return { number: 7, record: encodeRecord({ snapshot, xattrs: [] }), bytes: 500 };
}

it("a record has no attempts, failures or interruptions at first", () => {
  const record = waiting("/a");
  const counts = { attempts: 0, failures: 0, interruptions: 0, isRunning: false };
  expect(newEntry(record)).toMatchObject({ ...record, id: "boot:1", ...counts });
});

it("a record is large above 16 KiB", () => {
  expect([16_384, 16_385].map(isLarge)).toEqual([false, true]);
});

it("a list is named in the log by the path of its first cgroup", () => {
  const group = ["/a", "/b", "/c"].map((path) => newEntry(waiting(path)));
  const names = [0, 1, 3].map((count) => nameOf(group.slice(0, count)));
  expect(names).toEqual(["no cgroup", "/a", "/a and 2 others"]);
});
