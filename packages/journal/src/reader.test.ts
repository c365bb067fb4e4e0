import { beforeEach, describe, expect, it } from "vitest";
import { Journal } from "./journal.ts";
import type { ReadRecord } from "./reader.ts";
import { RecordState } from "./record-table.ts";
import type { Damage } from "./segments.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const OPTIONS = { limitBytes: 64 * 2 ** 20, segmentBytes: 64 * 1024, reserveBytes: 4096 };
const COUNT = 500;

let disk: SimulatedDisk;
let journal: Journal;
let numbers: number[];

beforeEach(async () => {
  disk = new SimulatedDisk(() => 0.5);
  journal = await Journal.open(disk, OPTIONS);
  numbers = [];
  for (let i = 0; i < COUNT; i++) numbers.push(await journal.append(record(i)));
  await journal.settle();
});

const record = (i: number) => Buffer.from(JSON.stringify({ i, filler: "x".repeat(500) }));

/** Returns the text of a record, or the reason why it could not be read. */
const textOf = ({ payload }: ReadRecord) =>
  payload instanceof Error ? payload.message : JSON.parse(payload.toString()).i;

async function readOn(after: number, count = Infinity): Promise<unknown[]> {
  const found: unknown[] = [];
  await journal.readOn(after, (each) => found.push(textOf(each)) < count);
  return found;
}

const upTo = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe("reading on", () => {
  it("returns records in order, starting after any record, as many as are wanted", async () => {
    expect(await readOn(-1)).toEqual(upTo(0, COUNT));
    expect(await readOn(numbers[122] ?? 0, 300)).toEqual(upTo(123, 423));
    expect(await readOn(numbers.at(-1) ?? 0)).toEqual([]);
  });

  it("leaves out records that are gone, even if they are marked while the journal is being read", async () => {
    for (const number of numbers.slice(0, 100)) await journal.mark(number, RecordState.GONE);
    expect(await readOn(-1, 3)).toEqual([100, 101, 102]);
    const found: unknown[] = [];
    await journal.readOn(-1, (each) => {
      if (found.length === 0)
        for (const number of numbers.slice(101, 490)) void journal.mark(number, RecordState.GONE);
      return found.push(textOf(each)) > 0;
    });
    expect(found).toEqual([100, ...upTo(490, COUNT)]);
  });

  it("goes on after an unreadable block", async () => {
    disk.unreadable = { name: "00000002.journal", from: 20_000, to: 20_001 };
    const found = await readOn(-1);
    expect(found).toHaveLength(COUNT);
    const bad = found.filter((each) => typeof each === "string");
    expect(new Set(bad)).toEqual(new Set(["simulated EIO"]));
    // A block has parts of up to nine records.
    expect(bad.length).toBeLessThan(10);
  });

  it("reports each record of a removed file as missing", async () => {
    await disk.remove("00000001.journal");
    const found = await readOn(-1);
    expect(found).toHaveLength(COUNT);
    expect(found[0]).toBe("the file was removed");
    expect(found.at(-1)).toBe(COUNT - 1);
  });
});

describe("reading a record in several parts", () => {
  it("begins again if a rewrite closes the file in between", async () => {
    const large = Buffer.from(JSON.stringify({ filler: "x".repeat(10_000) }));
    // Each round rewrites one segment; the reads go on all the time.
    for (let round = 0; round < 8; round++) {
      const added: number[] = [];
      for (let i = 0; i < 12; i++) added.push(await journal.append(large));
      const [kept = 0] = added.splice(6, 1);
      for (const number of added) journal.mark(number, RecordState.GONE).catch(() => undefined);
      let isSettled = false;
      const settled = journal.settle().then(() => (isSettled = true));
      while (!isSettled) expect((await journal.read(kept)).equals(large)).toBe(true);
      await settled;
    }
  });
});

describe("notes", () => {
  it("are those of the latest marks, in whichever segments these are", async () => {
    const [a = 0, b = 0, c = 0] = numbers;
    await journal.mark(a, RecordState.PARKED, "first");
    await journal.mark(b, RecordState.PARKED, "b");
    for (let i = 0; i < 300; i++) await journal.append(record(i));
    await journal.mark(a, RecordState.WAITING);
    await journal.mark(a, RecordState.PARKED, "second");
    for (let round = 0; round < 2; round++) {
      expect(await journal.notes([a, b, c])).toEqual(
        new Map([
          [a, "second"],
          [b, "b"],
        ]),
      );
      await journal.close();
      journal = await Journal.open(disk, OPTIONS);
    }
  });
});

describe("an unreadable block", () => {
  it("costs only the records in it, at startup and later, and is reported once", async () => {
    disk.unreadable = { name: "00000002.journal", from: 20_000, to: 20_001 };
    const told: Damage[] = [];
    journal.onDamage = (damage) => told.push(damage);
    for (let i = 0; i < 2; i++) {
      let visited = 0;
      await journal.visit(() => visited++);
      // A block has parts of up to nine records.
      expect(visited).toBeGreaterThan(COUNT - 10);
      expect(visited).toBeLessThan(COUNT);
    }
    expect(told).toEqual([{ file: "00000002.journal", what: expect.stringMatching(/damaged/) }]);
    await journal.close();
    journal = await Journal.open(disk, OPTIONS);
    expect(journal.damage).toHaveLength(1);
    expect(journal.live).toBeGreaterThan(COUNT - 10);
  });

  it("is never dropped by a rewrite", async () => {
    disk.unreadable = { name: "00000002.journal", from: 20_000, to: 20_001 };
    const ofSecond = numbers.filter((number) => Math.floor(number / 2 ** 24) === 2);
    for (const number of ofSecond.slice(0, -1)) await journal.mark(number, RecordState.GONE);
    await journal.settle();
    expect(disk.files().get("00000002.journal")?.cached.length).toBeGreaterThan(60_000);
  });

  it("leaves the other files in use, even if all blocks of its file are unreadable", async () => {
    disk.unreadable = { name: "00000001.journal", from: 0, to: 2 ** 30 };
    let visited = 0;
    await journal.visit(() => visited++);
    expect(visited).toBeGreaterThan(COUNT / 2);
  });
});
