/** A full disk: the reserve has room for marks. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { JournalError } from "./errors.ts";
import { Journal } from "./journal.ts";
import { RecordState } from "./record-table.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const OPTIONS = { limitBytes: 64 * 2 ** 20, segmentBytes: 64 * 1024, reserveBytes: 8192 };

let disk: SimulatedDisk;
let journal: Journal;
let troubles: (string | undefined)[];

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
  disk = new SimulatedDisk(() => 0.5);
  await open();
});
afterEach(async () => {
  await journal.close();
  vi.useRealTimers();
});

async function open(options = OPTIONS): Promise<void> {
  troubles = [];
  journal = await Journal.open(disk, options);
  journal.onTrouble = (error) => troubles.push(error);
  await journal.settle();
}

const record = (id: number) => Buffer.from(JSON.stringify({ id, filler: "x".repeat(500) }));
const append = (count: number) =>
  Promise.all(Array.from({ length: count }, (_, i) => journal.append(record(i))));

/** Makes the disk just large enough for its present files. */
function fillDisk(): void {
  let bytes = 0;
  for (const { cached } of disk.files().values()) bytes += cached.length;
  disk.capacityBytes = bytes;
}

describe("on a full disk", () => {
  it("marks are accepted immediately, and records when there is room again", async () => {
    const [first = 0, second = 0] = await append(2);
    fillDisk();
    await expect(journal.append(record(3))).rejects.toThrow(JournalError);
    await journal.mark(first, RecordState.BEGAN);
    await journal.mark(first, RecordState.GONE);
    await expect(journal.append(record(4))).rejects.toThrow(/ENOSPC/);
    await journal.mark(second, RecordState.PARKED, "because");
    // The marks were written, but the trouble is not over: records still cannot be written.
    expect(troubles).toEqual(["simulated ENOSPC"]);
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    vi.advanceTimersByTime(10_000);
    await journal.append(record(5));
    expect(troubles).toEqual(["simulated ENOSPC", undefined]);
    expect(disk.files().get("reserve")?.cached.length).toBe(8192);
    // The unused part of the previous reserve is free again.
    const sizes = [...disk.files()].map(([name, { cached }]) =>
      name === "reserve" ? 0 : cached.length,
    );
    expect(sizes.reduce((sum, size) => sum + size)).toBe(journal.bytes);
    disk.powerFailure();
    await journal.close();
    disk.reboot();
    await open();
    expect(journal.damage).toEqual([]);
    const states = [...journal.records()].map(({ state }) => state);
    expect(states).toEqual([RecordState.PARKED, RecordState.WAITING]);
    expect(await journal.notes([second])).toEqual(new Map([[second, "because"]]));
  });

  it("marks wait if the reserve has no room for them", async () => {
    const numbers = await append(400);
    fillDisk();
    const marks = numbers.map((number) =>
      journal.mark(number, RecordState.PARKED, "x".repeat(100)),
    );
    let written = 0;
    for (const mark of marks) void mark.then(() => written++);
    await journal.settle();
    expect(written).toBe(0);
    for (const number of numbers.slice(0, 50)) void journal.mark(number, RecordState.WAITING);
    disk.capacityBytes += 100_000;
    vi.advanceTimersByTime(1000);
    await journal.settle();
    await Promise.all(marks);
    expect(journal.count(RecordState.PARKED)).toBe(350);
  });

  it("a new daemon writes its marks to the reserve that an earlier daemon left", async () => {
    const [first = 0] = await append(1);
    fillDisk();
    await journal.close();
    await open();
    await journal.mark(first, RecordState.BEGAN);
    await journal.close();
    await open();
    expect(journal.state(first)).toBe(RecordState.BEGAN);
    // The segment was the reserve; its unused end was cut off.
    expect(journal.damage).toEqual([]);
    expect(journal.bytes).toBeLessThan(1000);
  });

  it("no reserve is made if it would leave little space for other files", async () => {
    await journal.close();
    disk = new SimulatedDisk(() => 0.5);
    disk.capacityBytes = 10_000;
    await open();
    expect([...disk.files().keys()]).toEqual([]);
  });
  it("a record that is appended again as soon as it is refused does not go into the reserve", async () => {
    await append(1);
    fillDisk();
    await expect(journal.append(record(2))).rejects.toThrow(/ENOSPC/);
    const again = journal.append(record(3)).catch(() => journal.append(record(4)));
    await expect(again).rejects.toThrow(/ENOSPC/);
    expect(disk.files().get("reserve")?.cached.length).toBe(OPTIONS.reserveBytes);
  });
  it.each(["reopen", "rename"])("the reserve stays if %s fails", async (call) => {
    const [first = 0] = await append(1);
    fillDisk();
    disk.fail = (each) => (each === call ? "EMFILE" : undefined);
    await expect(journal.append(record(2))).rejects.toThrow(JournalError);
    const mark = journal.mark(first, RecordState.BEGAN);
    await journal.settle();
    expect(disk.files().get("reserve")?.cached.length).toBe(OPTIONS.reserveBytes);
    disk.fail = () => undefined;
    for (let i = 0; i < 3; i++) {
      vi.advanceTimersByTime(1000);
      await journal.settle();
    }
    await mark;
    expect(journal.state(first)).toBe(RecordState.BEGAN);
  });
  it("failed appends use up no sequence numbers", async () => {
    await journal.close();
    disk.capacityBytes = 0;
    await open();
    for (let i = 0; i < 5; i++)
      await expect(journal.append(record(i))).rejects.toThrow(JournalError);
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    vi.advanceTimersByTime(10_000);
    await append(1);
    expect([...disk.files().keys()]).toContain("00000001.journal");
  });
  it("records are not tried again before the disk has room", async () => {
    const [first = 0] = await append(1);
    fillDisk();
    await expect(journal.append(record(2))).rejects.toThrow(/ENOSPC/);
    const calls: string[] = [];
    disk.fail = (call) => {
      calls.push(call);
      return undefined;
    };
    for (let i = 0; i < 10; i++) await expect(journal.append(record(i))).rejects.toThrow(/ENOSPC/);
    expect(calls).toContain("statfs");
    const refused = expect(journal.append(record(2))).rejects.toThrow(/ENOSPC/);
    await journal.mark(first, RecordState.BEGAN);
    await refused;
    expect(calls).not.toContain("create");
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    vi.advanceTimersByTime(10_000);
    await journal.append(record(3));
  });

  it.each(["reopen", "rename"])(
    "marks are written even if somebody has removed the reserve before %s",
    async (call) => {
      const numbers = [...(await append(150)), ...(await append(150))];
      await append(1);
      const removed = disk.files().get("reserve");
      expect(removed).toBeDefined();
      fillDisk();
      // Another program takes the space.
      disk.capacityBytes -= removed?.cached.length ?? 0;
      if (call === "reopen") await disk.remove("reserve");
      else disk.fail = (each, name) => (each === call && name === "reserve" ? "ENOENT" : undefined);
      let written = 0;
      for (const number of numbers)
        void journal.mark(number, RecordState.GONE).then(
          () => written++,
          () => undefined,
        );
      for (let i = 0; i < 3; i++) {
        await journal.settle();
        vi.advanceTimersByTime(1000);
      }
      await journal.settle();
      expect(written).toBe(300);
    },
  );

  describe("without a reserve", () => {
    const WITHOUT = { ...OPTIONS, reserveBytes: 0 };
    beforeEach(async () => {
      await journal.close();
      disk = new SimulatedDisk(() => 0.5);
      await open(WITHOUT);
    });

    /** Marks records as gone while the disk is full, and returns how many marks were written. */
    async function forget(numbers: readonly number[]): Promise<number> {
      let written = 0;
      for (const number of numbers)
        void journal.mark(number, RecordState.GONE).then(
          () => written++,
          () => undefined,
        );
      await journal.settle();
      return written;
    }

    it("segments that nothing needs are removed", async () => {
      const numbers = [...(await append(150)), ...(await append(150))];
      const [last = 0] = await append(1);
      fillDisk();
      expect(await forget(numbers)).toBe(300);
      expect(journal.bytes).toBeLessThan(2 * OPTIONS.segmentBytes);
      await journal.close();
      disk.powerFailure();
      disk.reboot();
      await open(WITHOUT);
      expect([...journal.records()]).toEqual([{ number: last, state: RecordState.WAITING }]);
    });

    it("two segments whose records are alternately marked as gone are removed", async () => {
      const older = await append(150);
      const newer = await append(150);
      const [last = 0] = await append(1);
      fillDisk();
      const inTurns = newer.flatMap((number, i) => [number, older[i] ?? number]);
      expect(await forget(inTurns)).toBe(300);
      await journal.close();
      disk.powerFailure();
      disk.reboot();
      await open(WITHOUT);
      expect([...journal.records()]).toEqual([{ number: last, state: RecordState.WAITING }]);
    });

    it("a later segment stays until marks of earlier records are written", async () => {
      const older = await append(150);
      const newer = await append(150);
      await append(1);
      fillDisk();
      // One of the older records is parked, so that its segment stays.
      const [first = 0] = older;
      void journal.mark(first, RecordState.PARKED).catch(() => undefined);
      expect(await forget(newer.flatMap((number, i) => [older[i + 1] ?? [], number].flat()))).toBe(
        0,
      );
      await journal.close();
      await open(WITHOUT);
      const states = new Set([...older, ...newer].map((number) => journal.state(number)));
      expect(states).toEqual(new Set([RecordState.WAITING]));
    });

    it("segments of which little is needed are rewritten", async () => {
      const numbers = [...(await append(150)), ...(await append(150))];
      fillDisk();
      // The needed records have to be written to a new file before the old one is removed.
      disk.capacityBytes += 4000;
      const kept = numbers.filter((_, i) => i % 60 === 0);
      const gone = numbers.filter((number) => !kept.includes(number));
      await forget(gone);
      vi.advanceTimersByTime(1000);
      await journal.settle();
      expect(journal.bytes).toBeLessThan(OPTIONS.segmentBytes);
      expect([...journal.records()].map(({ number }) => number)).toEqual(kept);
    });

    it("records whose marks have to wait for an earlier mark are not dropped", async () => {
      const numbers = [...(await append(150)), ...(await append(150))];
      const [first = 0] = numbers;
      const second = Math.floor((numbers.at(-1) ?? 0) / 2 ** 24);
      const inSecond = numbers.filter((number) => number >= second * 2 ** 24);
      await append(1);
      fillDisk();
      void journal.mark(first, RecordState.PARKED).catch(() => undefined);
      await forget(inSecond);
      await journal.close();
      await open(WITHOUT);
      // No mark is on the disk, and no record was dropped instead of being marked.
      expect(journal.state(first)).toBe(RecordState.WAITING);
      for (const number of inSecond) expect(journal.state(number)).toBe(RecordState.WAITING);
    });

    it("failed attempts to write marks leave no files behind", async () => {
      const numbers = await append(300);
      fillDisk();
      disk.capacityBytes += 300;
      for (const number of numbers) void journal.mark(number, RecordState.PARKED).catch(() => {});
      await journal.settle();
      const { size } = disk.files();
      for (let i = 0; i < 5; i++) {
        vi.advanceTimersByTime(1000);
        await journal.settle();
      }
      expect(disk.files().size).toBe(size);
      expect(journal.lastError).toMatch(/ENOSPC/);
    });
  });
});
