import { Journal, RecordState } from "@cm4all/journal";
import { SimulatedDisk } from "@cm4all/journal/simulated-disk";
import { bytesOfText } from "@cm4all/linux";
import { beforeEach, describe, expect, it } from "vitest";
import { RecordWindow } from "./window.ts";

const BOOT = "this-boot";

let disk: SimulatedDisk;
let journal: Journal;
let held: Set<number>;
let taken: Set<number>;
let window: RecordWindow;

beforeEach(async () => {
  disk = new SimulatedDisk(() => 0.5);
  journal = await Journal.open(disk, { limitBytes: 2 ** 26, segmentBytes: 4096 });
  held = new Set();
  taken = new Set();
  window = new RecordWindow({ bootId: BOOT, isHeld: (number) => held.has(number) });
});

function append(id: string, bytes = 0): Promise<number> {
  const snapshot = { path: bytesOfText(`/${id}`), id, report: 1, measuredMs: 0 };
  const xattrs = [[["user.a", "x".repeat(bytes)]]];
  return journal.append(Buffer.from(JSON.stringify({ snapshot, xattrs })));
}

/** Takes up to so many, and returns their ids. */
async function read(count: number): Promise<string[]> {
  const { records } = await window.read(count, (number) => taken.has(number));
  for (const { number } of records) taken.add(number);
  return records.map(({ record }) => record.id);
}

describe("the window", () => {
  it("reads what waits in its order, and each once", async () => {
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

  it("reads nothing that is held, nor what the intake has not told of", async () => {
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

  it("reads nothing of this boot until it is told to", async () => {
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

  it("tells what is damaged, and goes on", async () => {
    const numbers = [await append("b:1"), await append("b:2"), await append("b:3")];
    await journal.append(Buffer.from('{"of":"a newer version"}'));
    for (const { cached } of disk.files().values()) cached.write("X", cached.indexOf("/b:2"));
    window.open(journal);
    const { records, damaged } = await window.read(10, () => false);
    expect(records.map(({ number }) => number)).toEqual([numbers[0], numbers[2]]);
    expect(damaged.map(({ reason }) => reason)).toEqual([
      expect.stringContaining("is damaged on the disk"),
      "it is no record that this version can read",
    ]);
  });

  it("takes nothing if the disk fails", async () => {
    await append("b:1");
    window.open(journal);
    disk.fail = () => "EIO";
    await expect(window.read(10, () => false)).rejects.toThrow("EIO");
    disk.fail = () => undefined;
    expect(await read(10)).toEqual(["b:1"]);
  });
});
