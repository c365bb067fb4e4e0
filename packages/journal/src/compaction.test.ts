import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { frameSize } from "./frame.ts";
import { Journal } from "./journal.ts";
import { RecordState } from "./record-table.ts";
import { encodeHeader } from "./segment.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const OPTIONS = { limitBytes: 64 * 2 ** 20, segmentBytes: 4096, reserveBytes: 4096 };

let disk: SimulatedDisk;
let journal: Journal;

beforeEach(async () => {
  disk = new SimulatedDisk(() => 0.5);
  journal = await Journal.open(disk, OPTIONS);
});

const record = (text: string) => Buffer.from(JSON.stringify({ text }));

describe("marks of a live record", () => {
  it("are dropped, except for the latest", async () => {
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

  it("do not each cause a rewrite", async () => {
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
    // 3,000 marks of 32 bytes fill 23 segments; most of these are removed, not rewritten.
    expect(created).toBeLessThan(60);
    expect(journal.bytes).toBeLessThan(5 * OPTIONS.segmentBytes);
  });
});

describe("a segment", () => {
  it("that somebody has removed does not count as a disk error", async () => {
    const numbers: number[] = [];
    for (let i = 0; i < 200; i++) numbers.push(await journal.append(record(`${i}`)));
    const troubles: unknown[] = [];
    journal.onTrouble = (error) => troubles.push(error);
    await disk.remove("00000001.journal");
    for (const number of numbers.slice(1, 60)) await journal.mark(number, RecordState.GONE);
    await journal.settle();
    expect(troubles).toEqual([]);
  });

  it("is kept if it has a damaged record", async () => {
    const numbers: number[] = [];
    for (let i = 0; i < 200; i++) numbers.push(await journal.append(record(`record ${i}`)));
    await journal.settle();
    const file = disk.files().get("00000001.journal");
    file?.cached.writeUInt8(0, file.cached.indexOf("record 5") + 2);
    for (const number of numbers.slice(10, 100)) await journal.mark(number, RecordState.GONE);
    await journal.settle();
    expect(journal.state(numbers[5] ?? 0)).toBe(RecordState.WAITING);
    // The file stays even when all other records are gone: a person may look at the damage.
    for (const number of numbers.filter((_, i) => i !== 5))
      await journal.mark(number, RecordState.GONE);
    await journal.settle();
    expect([...disk.files().keys()]).toContain("00000001.journal");
    expect(journal.live).toBe(1);
  });
});

describe("a file whose reading stopped at startup", () => {
  const FIRST = "00000001.journal";
  const filler = () => Buffer.alloc(60_000, "x");

  /** Starts the journal again while the first file cannot be opened, or read beyond 100 kB. */
  async function restartWithFault(fault: "open" | "read"): Promise<void> {
    await journal.close();
    if (fault === "read") disk.unreadable = { name: FIRST, from: 100_000, to: 2 ** 30 };
    else disk.fail = (call, name) => (call === "open" && name === FIRST ? "EIO" : undefined);
    journal = await Journal.open(disk, OPTIONS);
    expect(journal.damage).toEqual([{ file: FIRST, what: "reading stopped: simulated EIO" }]);
    disk.unreadable = undefined;
    disk.fail = () => undefined;
  }

  async function restart(segmentBytes: number): Promise<void> {
    await journal.close();
    journal = await Journal.open(disk, { ...OPTIONS, segmentBytes });
    expect(journal.damage).toEqual([]);
  }

  it("stays, with the records that were not read, when all others are gone", async () => {
    await restart(2 ** 20);
    const numbers: number[] = [];
    for (let i = 0; i < 12; i++) numbers.push(await journal.append(filler()));
    await restartWithFault("read");
    const [first = 0] = numbers;
    expect([...journal.records()].map(({ number }) => number)).toEqual([first]);
    await journal.mark(first, RecordState.GONE);
    await journal.settle();
    await restart(2 ** 20);
    expect([...journal.records()].map(({ number }) => number)).toEqual(numbers.slice(1));
  });

  it.each(["open", "read"] as const)(
    "because %s failed keeps the marks that other files have of its records",
    async (fault) => {
      await restart(2 ** 20);
      const numbers: number[] = [];
      for (let i = 0; i < 5; i++) numbers.push(await journal.append(filler()));
      const [, parked = 0, gone = 0] = numbers.slice(2);
      await restart(4096);
      // These marks go to the second file, which is then worth rewriting. At the end it contains
      // only these marks.
      await journal.mark(parked, RecordState.PARKED);
      await journal.mark(gone, RecordState.GONE);
      const last = await journal.append(record("last"));
      for (let i = 0; i < 5; i++)
        await journal.mark(await journal.append(record(`${i}`)), RecordState.GONE);
      await restartWithFault(fault);
      await journal.settle();
      expect(journal.state(last)).toBe(RecordState.WAITING);
      await journal.mark(last, RecordState.GONE);
      await journal.settle();
      await restart(4096);
      await journal.settle();
      expect(journal.state(parked)).toBe(RecordState.PARKED);
      expect(journal.state(gone) ?? RecordState.GONE).toBe(RecordState.GONE);
    },
  );
});

describe("records that are done while their segment is read for a rewrite", () => {
  const LARGE = { ...OPTIONS, segmentBytes: 700_000, reserveBytes: 0 };
  const filler = () => Buffer.alloc(100_000, "x");
  let fillers: number[];

  beforeEach(async () => {
    disk = new SimulatedDisk(() => 0.5);
    journal = await Journal.open(disk, LARGE);
    // Because of this record, the segment is rewritten, not removed.
    await journal.append(record("waiting"));
    fillers = [];
  });

  /** Appends `count` records of 100 kB, so that a rewrite reads the file in several parts. */
  async function fill(count: number): Promise<void> {
    for (let i = 0; i < count; i++) fillers.push(await journal.append(filler()));
  }

  /**
   * Marks the large records as gone, so that the segment is rewritten. When the rewrite has read
   * the first part, marks `done` as gone. The daemon is killed before the marks of `done` are
   * written, and starts again.
   */
  async function rewriteAndKill(done: readonly number[]): Promise<void> {
    // Begins the next segment.
    await journal.append(record("last"));
    await journal.settle();
    let reads = 0;
    let isRenamed = false;
    disk.fail = (call, name) => {
      if (call === "read" && ++reads === 2)
        for (const number of done) journal.mark(number, RecordState.GONE).catch(() => undefined);
      if (call === "rename" && name === "00000001.journal.tmp") isRenamed = true;
      if (call === "write" && isRenamed) disk.kill();
      return disk.isDown ? "EIO" : undefined;
    };
    for (const number of fillers) journal.mark(number, RecordState.GONE).catch(() => undefined);
    await journal.settle();
    expect(isRenamed).toBe(true);
    expect(disk.isDown).toBe(true);
    await journal.close();
    disk.fail = () => undefined;
    disk.reboot();
    journal = await Journal.open(disk, LARGE);
  }

  it("do not lose their BEGAN mark", async () => {
    const begun = await journal.append(record("begun"));
    await fill(6);
    await journal.mark(begun, RecordState.BEGAN);
    await fill(1);
    await rewriteAndKill([begun]);
    expect([undefined, RecordState.BEGAN]).toContain(journal.state(begun));
  });

  it("do not come back without the record that replaces them", async () => {
    const replaced = await journal.append(record("replaced"));
    await fill(6);
    const replacement = await journal.append(record("replacement"));
    await fill(1);
    await rewriteAndKill([replaced, replacement]);
    const states = [replaced, replacement].map((number) => journal.state(number));
    expect([
      [undefined, undefined],
      [RecordState.WAITING, RecordState.WAITING],
    ]).toContainEqual(states);
  });
});

describe("a segment that cannot be rewritten", () => {
  const FIRST = "00000001.journal";
  const PAUSE_MS = 10_000;
  let numbers: number[];
  let tries: number;
  let troubles: (string | undefined)[];
  let stuck: string[];

  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    numbers = [];
    for (let i = 0; i < 400; i++) numbers.push(await journal.append(record(`record ${i}`)));
    await journal.settle();
    tries = 0;
    troubles = [];
    stuck = [];
    journal.onTrouble = (error) => troubles.push(error);
    journal.onStuck = (file, reason) => stuck.push(`${file}: ${reason}`);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Marks nine out of ten records as gone; the first record stays. */
  async function finishMost(): Promise<void> {
    const marks = numbers.filter((_, i) => i % 10 > 0);
    await Promise.all(marks.map((number) => journal.mark(number, RecordState.GONE)));
    await journal.settle();
  }

  const sizes = () => [...disk.files()].map(([name, { cached }]) => `${name}: ${cached.length}`);

  it.each([
    ["open", FIRST],
    ["create", `${FIRST}.tmp`],
    ["rename", `${FIRST}.tmp`],
  ])("because %s fails does not delay others, and is retried after a while", async (call, name) => {
    disk.fail = (aCall, aName) => {
      if (aCall !== call || aName !== name) return undefined;
      tries++;
      return "EIO";
    };
    await finishMost();
    expect(tries).toBe(1);
    for (const file of ["00000002.journal", "00000003.journal"])
      expect(disk.files().get(file)?.cached.length, sizes().join()).toBeLessThan(
        OPTIONS.segmentBytes / 2,
      );
    expect([...disk.files().keys()].filter((file) => file.endsWith(".tmp"))).toEqual([]);
    for (let i = 0; i < 20; i++) {
      await journal.append(record(`later ${i}`));
      await journal.settle();
    }
    expect(tries).toBe(1);
    vi.advanceTimersByTime(PAUSE_MS);
    await journal.append(record("after the pause"));
    await journal.settle();
    expect(tries).toBe(2);
    // Writes of records never failed.
    expect(troubles).toEqual([]);
    expect(stuck).toEqual([`${FIRST}: simulated EIO`]);

    disk.fail = () => undefined;
    vi.advanceTimersByTime(PAUSE_MS);
    await journal.append(record("the disk works again"));
    await journal.settle();
    expect(disk.files().get(FIRST)?.cached.length).toBeLessThan(OPTIONS.segmentBytes / 2);
    expect(journal.state(numbers[0] ?? 0)).toBe(RecordState.WAITING);
  });

  it("is rewritten later, although the failed rewrite left its temporary file behind", async () => {
    disk.fail = (call, name) =>
      name === `${FIRST}.tmp` && ["rename", "remove"].includes(call) ? "EIO" : undefined;
    await finishMost();
    disk.fail = () => undefined;
    vi.advanceTimersByTime(PAUSE_MS);
    await journal.append(record("the disk works again"));
    await journal.settle();
    expect(disk.files().get(FIRST)?.cached.length).toBeLessThan(OPTIONS.segmentBytes / 2);
    expect([...disk.files().keys()].filter((file) => file.endsWith(".tmp"))).toEqual([]);
  });

  it("because the disk is full leaves the free space to segments that need less", async () => {
    await journal.close();
    await disk.remove("reserve");
    journal = await Journal.open(disk, { ...OPTIONS, reserveBytes: 0 });
    await journal.settle();
    const isFirst = (number: number) => number < 2 ** 25;
    // In the first segment two fifths of the records stay; in the other segments, a tenth.
    const finished = numbers.filter((number, i) => (isFirst(number) ? i % 5 > 1 : i % 10 > 0));
    const markBytes = frameSize(1) * finished.length + 2 * encodeHeader(0).length;
    disk.capacityBytes = disk.usedBytes + markBytes + 1000;
    await Promise.all(finished.map((number) => journal.mark(number, RecordState.GONE)));
    await journal.settle();
    for (const file of [FIRST, "00000002.journal", "00000003.journal", "00000004.journal"])
      expect(disk.files().get(file)?.cached.length, sizes().join()).toBeLessThan(
        OPTIONS.segmentBytes / 2,
      );
    await journal.append(record("there is room"));
    expect(stuck).toEqual([]);
  });
});
