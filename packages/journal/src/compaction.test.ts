import { beforeEach, describe, expect, it } from "vitest";
import { Journal } from "./journal.ts";
import { RecordState } from "./record-table.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const OPTIONS = { limitBytes: 64 * 2 ** 20, segmentBytes: 4096, reserveBytes: 4096 };

let disk: SimulatedDisk;
let journal: Journal;

beforeEach(async () => {
  disk = new SimulatedDisk(() => 0.5);
  journal = await Journal.open(disk, OPTIONS);
});

const record = (text: string) => Buffer.from(JSON.stringify({ text }));

describe("marks of a record that goes on", () => {
  it("are given back, but for the latest one", async () => {
    const parked = await journal.append(record("parked"));
    const waiting = await journal.append(record("waiting"));
    for (let i = 0; i < 3000; i++) {
      await journal.mark(parked, RecordState.WAITING);
      await journal.mark(waiting, RecordState.BEGAN);
      await journal.mark(parked, RecordState.PARKED, `for the ${i}th time`);
      await journal.mark(waiting, RecordState.WAITING);
    }
    await journal.settle();
    expect(journal.bytes).toBeLessThan(4 * OPTIONS.segmentBytes);
    for (let round = 0; round < 3; round++) {
      expect(journal.state(parked)).toBe(RecordState.PARKED);
      expect(journal.state(waiting)).toBe(RecordState.WAITING);
      expect(await journal.notes([parked])).toEqual(new Map([[parked, "for the 2999th time"]]));
      await journal.close();
      journal = await Journal.open(disk, OPTIONS);
      await journal.settle();
    }
  });

  it("cost no rewriting each time", async () => {
    const numbers: number[] = [];
    for (let i = 0; i < 100; i++) numbers.push(await journal.append(record(`${i}`)));
    let created = 0;
    disk.fail = (call) => {
      if (call === "create") created++;
      return undefined;
    };
    for (let round = 0; round < 30; round++)
      for (const number of numbers) await journal.mark(number, RecordState.PARKED, `${round}`);
    await journal.settle();
    // 3,000 marks of 32 bytes begin 24 segments; most of these are removed as they are.
    expect(created).toBeLessThan(60);
    expect(journal.bytes).toBeLessThan(5 * OPTIONS.segmentBytes);
  });
});

describe("a segment", () => {
  it("that somebody has removed is no trouble of the disk", async () => {
    const numbers: number[] = [];
    for (let i = 0; i < 200; i++) numbers.push(await journal.append(record(`${i}`)));
    const troubles: unknown[] = [];
    journal.onTrouble = (error) => troubles.push(error);
    await disk.remove("00000001.journal");
    for (const number of numbers.slice(1, 60)) await journal.mark(number, RecordState.GONE);
    await journal.settle();
    expect(troubles).toEqual([]);
  });

  it("of which a record is damaged keeps it", async () => {
    const numbers: number[] = [];
    for (let i = 0; i < 200; i++) numbers.push(await journal.append(record(`record ${i}`)));
    await journal.settle();
    const file = disk.files().get("00000001.journal");
    file?.cached.writeUInt8(0, file.cached.indexOf("record 5") + 2);
    for (const number of numbers.slice(10, 100)) await journal.mark(number, RecordState.GONE);
    await journal.settle();
    expect(journal.state(numbers[5] ?? 0)).toBe(RecordState.WAITING);
    // Also with all others: what is left of it is for a person to look at.
    for (const number of numbers.filter((_, i) => i !== 5))
      await journal.mark(number, RecordState.GONE);
    await journal.settle();
    expect([...disk.files().keys()]).toContain("00000001.journal");
    expect(journal.live).toBe(1);
  });
});
