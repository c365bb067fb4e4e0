import type { EncodedRecord } from "@cm4all/cgroup";
import { DEFAULT_OPTIONS, Journal, RecordState } from "@cm4all/journal";
import { SimulatedDisk } from "@cm4all/journal/simulated-disk";
import { bytesOfText } from "@cm4all/linux";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { UnreadableRecords } from "./unreadable.ts";
import { RecordWindow } from "./window.ts";

const BOOT = "this-boot";

let disk: SimulatedDisk;
let journal: Journal;
let held: Set<number>;
let taken: Set<number>;
let window: RecordWindow;
let unreadable: UnreadableRecords;
let log: string[];

beforeEach(async () => {
  disk = new SimulatedDisk(() => 0.5);
  journal = await Journal.open(disk, {
    limitBytes: 2 ** 26,
    segmentBytes: 4096,
    reserveBytes: 4096,
  });
  held = new Set();
  taken = new Set();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  log = [];
  unreadable = new UnreadableRecords(
    (_, text) => log.push(text),
    (number) => window.rewind(number),
  );
  window = new RecordWindow({ bootId: BOOT, isHeld: (number) => held.has(number), unreadable });
});

afterEach(() => {
  unreadable.close();
  vi.useRealTimers();
});

function append(id: string, bytes = 0): Promise<number> {
  const snapshot = { path: bytesOfText(`/${id}`), id, report: 1, measuredMs: 0 };
  const xattrs = [[["user.a", "x".repeat(bytes)]]];
  return journal.append(Buffer.from(JSON.stringify({ snapshot, xattrs })));
}

/** Reads up to `count` records, and returns their ids. */
async function read(count: number): Promise<string[]> {
  const { records } = await window.read(count, (number) => taken.has(number));
  for (const { number } of records) taken.add(number);
  return records.map(({ record }) => record.id);
}

describe("the window", () => {
  it("reads waiting records in order, each once", async () => {
    const ids = Array.from({ length: 100 }, (_, i) => `boot:${i}`);
    const numbers = await Promise.all(ids.map((id) => append(id)));
    await journal.mark(numbers[3] ?? 0, RecordState.PARKED);
    window.open(journal);
    const read10 = () => read(10);
    expect(await read10()).toEqual(ids.toSpliced(3, 1).slice(0, 10));
    const rest: string[] = [];
    for (let page = await read10(); page.length > 0; page = await read10()) rest.push(...page);
    expect(rest).toEqual(ids.slice(11));
    window.rewind(numbers[3] ?? 0);
    await journal.mark(numbers[3] ?? 0, RecordState.WAITING);
    expect(await read10()).toEqual(["boot:3"]);
  });

  it("keeps new records in memory, and drops those that are marked as gone", async () => {
    window.open(journal);
    window.openBoot();
    const add = async (id: string) => {
      const number = await append(id);
      const record = { id, path: "", payload: "" } as unknown as EncodedRecord;
      window.add(number, { number, record, bytes: 1 });
      return number;
    };
    for (let i = 0; i < 1000; i++) await journal.mark(await add(`b:${i}`), RecordState.GONE);
    expect(await read(10)).toEqual([]);
    await add("b:last");
    const reads = vi.spyOn(journal, "read");
    expect(await read(10)).toEqual(["b:last"]);
    expect(reads).not.toHaveBeenCalled();
  });

  it("reads no records that the intake holds back or has not announced yet", async () => {
    window.open(journal);
    window.openBoot();
    const [first, second, third] = [await append("b:1"), await append("b:2"), await append("b:3")];
    expect(await read(10)).toEqual([]);
    held.add(first);
    window.extend(second);
    expect(await read(10)).toEqual(["b:2"]);
    held.delete(first);
    window.add(first, undefined);
    window.extend(third);
    expect(await read(10)).toEqual(["b:1", "b:3"]);
  });

  it("reads no records of this boot until `openBoot` is called", async () => {
    for (const id of ["other:1", `${BOOT}:1`, `${BOOT}:2`]) await append(id);
    window.open(journal);
    expect([await read(10), await read(10)]).toEqual([["other:1"], []]);
    window.openBoot();
    expect(await read(10)).toEqual([`${BOOT}:1`, `${BOOT}:2`]);
  });

  it("reads a few megabytes at a time", async () => {
    for (let i = 0; i < 12; i++) await append(`b:${i}`, 1_000_000);
    window.open(journal);
    const pages = [await read(100), await read(100), await read(100), await read(100)];
    expect(pages.map(({ length }) => length)).toEqual([5, 5, 2, 0]);
  });

  it("returns damaged records, and continues", async () => {
    const numbers = [await append("b:1"), await append("b:2"), await append("b:3")];
    await journal.append(Buffer.from('{"of":"a newer version"}'));
    const { cached } = disk.files().get("00000001.journal") ?? {};
    cached?.write("X", cached.indexOf("/b:2"));
    window.open(journal);
    const { records, damaged } = await window.read(10, () => false);
    expect(records.map(({ number }) => number)).toEqual([numbers[0], numbers[2]]);
    expect(damaged.map(({ reason }) => reason)).toEqual([
      expect.stringContaining("is damaged on the disk"),
      "it is not a record that this version can read",
    ]);
  });

  it("rejects while no record can be read, and then continues", async () => {
    await append("b:1");
    window.open(journal);
    disk.fail = () => "EMFILE";
    await expect(window.read(10, () => false)).rejects.toThrow("EMFILE");
    disk.fail = () => undefined;
    expect(await read(10)).toEqual(["b:1"]);
  });

  it("continues if the disk cannot read some records, and tries these again", async () => {
    const ids = Array.from({ length: 40 }, (_, i) => `b:${i}`);
    for (const id of ids) await append(id, 1000);
    window.open(journal);
    disk.unreadable = { name: "00000002.journal", from: 0, to: 2 ** 20 };
    const readable: string[] = [];
    for (let page = await read(2); page.length > 0; page = await read(2)) readable.push(...page);
    const bad = ids.filter((id) => !readable.includes(id));
    expect([bad.length > 2, readable.length > 20]).toEqual([true, true]);
    expect(unreadable.size).toBe(bad.length);
    expect(log).toEqual([expect.stringContaining("cannot be read: simulated EIO")]);
    vi.advanceTimersByTime(1000);
    expect(await read(100)).toEqual([]);
    // The second pause is longer.
    disk.unreadable = undefined;
    vi.advanceTimersByTime(1000);
    expect(await read(100)).toEqual([]);
    vi.advanceTimersByTime(1000);
    expect(await read(100)).toEqual(bad);
    expect(log[1]).toBe("all records of the journal can be read again");
    expect([unreadable.size, log.length]).toEqual([0, 2]);
  });

  it("continues if more than 1,000 records are unreadable, and tries these again", async () => {
    journal = await Journal.open(disk, { ...DEFAULT_OPTIONS, reserveBytes: 0 });
    const ids = Array.from({ length: 1020 }, (_, i) => `b:${i}`);
    for (const id of ids.slice(0, 1010)) await append(id);
    const [file] = [...disk.files()].filter(([name]) => name.endsWith(".journal"));
    if (file === undefined) throw new Error("no segment");
    const [name, { cached }] = file;
    const to = cached.length;
    for (const id of ids.slice(1010)) await append(id);
    window.open(journal);
    disk.unreadable = { name, from: 0, to };
    expect(await read(1015)).toEqual(ids.slice(1010, 1015));
    expect(await read(2000)).toEqual(ids.slice(1015));
    expect(unreadable.size).toBe(1000);
    for (let i = 0; i < 3; i++) await expect(read(2000)).rejects.toThrow("EIO");
    disk.unreadable = undefined;
    expect(await read(2000)).toEqual(ids.slice(1000, 1010));
    vi.advanceTimersByTime(1000);
    expect(await read(2000)).toEqual(ids.slice(0, 1000));
    expect([await read(2000), unreadable.size]).toEqual([[], 0]);
  });

  it("returns the records that were read before the disk failed", async () => {
    for (const id of ["b:1", "b:2", "b:3"]) await append(id);
    window.open(journal);
    let reads = 0;
    disk.fail = (call) => (call === "read" && reads++ >= 2 ? "EMFILE" : undefined);
    expect(await read(10)).toEqual(["b:1", "b:2"]);
    await expect(read(10)).rejects.toThrow("EMFILE");
    disk.fail = () => undefined;
    expect(await read(10)).toEqual(["b:3"]);
  });
});
