import { encodeRecord } from "@cm4all/cgroup";
import { Journal, RecordState } from "@cm4all/journal";
import { SimulatedDisk } from "@cm4all/journal/simulated-disk";
import { bytesOfText } from "@cm4all/linux";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { findOutdated } from "./outdated-records.ts";

afterEach(async () => {
  vi.restoreAllMocks();
  await journal.close();
});

const figures = { path: bytesOfText("/a"), id: "boot:1", measuredMs: 0 };

/** Returns a record as the reaper encodes it: the report is the last key of the snapshot. */
const last = (report: number) => encodeRecord({ snapshot: { ...figures, report }, xattrs: [] });
const first = (report: number) => encodeRecord({ snapshot: { report, ...figures }, xattrs: [] });

let disk: SimulatedDisk;
let journal: Journal;

beforeEach(async () => {
  disk = new SimulatedDisk(() => 0.5);
  journal = await Journal.open(disk);
});

async function append({ json }: { json: string }, state: RecordState = RecordState.PARKED) {
  const number = await journal.append(Buffer.from(json));
  await journal.mark(number, state);
  return number;
}

it("finds outdated records, and does not parse records that cannot outdate others", async () => {
  const earlier = [await append(last(1)), await append(first(1))];
  const parse = vi.spyOn(JSON, "parse");
  expect(await findOutdated(journal)).toEqual(new Set());
  expect(parse).not.toHaveBeenCalled();
  await append(last(12));
  expect(await findOutdated(journal)).toEqual(new Set(earlier));
  expect(await findOutdated(journal, earlier.slice(1))).toEqual(new Set(earlier.slice(1)));
});

it("a record is outdated by a report that was handed over, and not by one that waits", async () => {
  const [first, second] = [await append(last(1)), await append(last(2))];
  const third = await append(last(3), RecordState.WAITING);
  expect(await findOutdated(journal)).toEqual(new Set([first]));
  await journal.mark(third, RecordState.ACCOUNTED);
  expect(await findOutdated(journal)).toEqual(new Set([first, second]));
});

it("a record that waits counts as outdated only if it is asked about", async () => {
  const first = await append(last(1), RecordState.WAITING);
  await append(last(2));
  expect(await findOutdated(journal)).toEqual(new Set());
  expect(await findOutdated(journal, [first])).toEqual(new Set([first]));
});

it("the latest report outdates the others, in whatever order they are in the journal", async () => {
  const reports = [2, 3, 1];
  const numbers: number[] = [];
  for (const report of reports) numbers.push(await append(last(report)));
  const [second, , first] = numbers;
  expect(await findOutdated(journal)).toEqual(new Set([second, first]));
});

it("a record of another version outdates nothing, and is not outdated", async () => {
  const strange = await append({ json: '{"id":"boot:1"}' });
  const [first] = [await append(last(1)), await append(last(2))];
  expect(await findOutdated(journal, [strange, first])).toEqual(new Set([first]));
});

it("a damaged record does not count as outdated, and the others are still looked at", async () => {
  const [damaged, intact] = [await append(last(1)), await append(first(1))];
  await append(last(2));
  const { cached } = disk.files().get("00000001.journal") ?? {};
  cached?.write("X", cached.indexOf("/a"));
  await expect(journal.read(damaged)).rejects.toThrow("is damaged on the disk");
  expect(await findOutdated(journal, [damaged, intact])).toEqual(new Set([intact]));
  expect(await findOutdated(journal)).toEqual(new Set([intact]));
});
