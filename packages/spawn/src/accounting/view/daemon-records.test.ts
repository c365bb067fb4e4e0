import { encodeRecord } from "@cm4all/cgroup";
import { Journal, RecordState } from "@cm4all/journal";
import { SimulatedDisk } from "@cm4all/journal/simulated-disk";
import { bytesOfText } from "@cm4all/linux";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Entry, newEntry } from "../handlers/entry.ts";
import { RecordRefused } from "../terms/records.ts";
import { DaemonRecords } from "./daemon-records.ts";
import { OUTDATED } from "./outdated-records.ts";

const { WAITING, BEGAN, PARKED, GONE } = RecordState;

let journal: Journal;
/** The records that the queue has in memory. */
let entries: Map<number, Entry>;
/** The calls to the window and the queue, which show what becomes of records. */
let told: string[];
let records: DaemonRecords;
/** Marks a record on the disk. */
let mark: (number: number, state: RecordState) => Promise<void>;

function recordsOf(opened: Journal | undefined, problem?: string): DaemonRecords {
  return new DaemonRecords({
    store: {
      journal: opened,
      status: { path: "/journal", problem },
      mark: (number, state) => mark(number, state),
    },
    window: { rewind: (number) => told.push(`rewind ${number}`) },
    queue: {
      find: (number) => entries.get(number),
      tryWithdraw: (number) => {
        told.push(`withdraw ${number}`);
        return true;
      },
      wake: () => told.push("wake"),
    },
  });
}

beforeEach(async () => {
  journal = await Journal.open(new SimulatedDisk(() => 0.5));
  entries = new Map();
  told = [];
  mark = (number, state) => journal.mark(number, state);
  records = recordsOf(journal);
});

afterEach(() => journal.close());

function recordOf(id: string, report: number) {
  const snapshot = { path: bytesOfText(`/${id}`), id, report, measuredMs: 5 };
  return encodeRecord({ snapshot, xattrs: [] });
}

/** Appends a report of a cgroup. */
async function append(id: string, state: RecordState, note?: string, report = 1): Promise<number> {
  const number = await journal.append(Buffer.from(recordOf(id, report).json));
  if (state !== WAITING) await journal.mark(number, state, note);
  return number;
}

/** Adds a record to those that the queue has in memory. */
function remember(number: number, id: string, fields: Partial<Entry>): void {
  entries.set(number, { ...newEntry({ number, record: recordOf(id, 1), bytes: 1 }), ...fields });
}

const statesOf = (numbers: readonly number[]) => numbers.map((each) => journal.state(each));

describe("an administrator", () => {
  it("sees how many times a handler was called, and why it last failed", async () => {
    const number = await append("a", WAITING);
    remember(number, "a", { attempts: 2, lastError: "no route" });
    const seen = { number, state: "waiting", attempts: 2, reason: "no route" };
    expect(await records.list(-1, 10)).toMatchObject([seen]);
    expect(await records.find("a")).toMatchObject([{ summary: seen }]);
  });

  it("sees that a record whose handler runs has begun", async () => {
    const number = await append("a", WAITING);
    remember(number, "a", { attempts: 1, isRunning: true });
    expect(await records.list(-1, 10)).toMatchObject([{ state: "began", attempts: 1 }]);
  });

  it("sees why a record is parked, rather than why its handler last failed", async () => {
    const number = await append("a", PARKED, "too old");
    remember(number, "a", { lastError: "no route" });
    expect(await records.list(-1, 10)).toMatchObject([{ reason: "too old" }]);
  });

  it("sees what the journal knows of a record that is not in memory", async () => {
    const number = await append("a", WAITING);
    const [summary] = await records.list(-1, 10);
    expect(summary).toMatchObject({ number, state: "waiting" });
    expect(summary).not.toHaveProperty("attempts");
  });

  it("sees a list's further pages without another search for the reasons", async () => {
    const number = await append("a", PARKED, "too old");
    await append("b", PARKED, "too new");
    const search = vi.spyOn(journal, "notes");
    expect(await records.list(-1, 1)).toMatchObject([{ reason: "too old" }]);
    expect(await records.list(number, 1)).toMatchObject([{ reason: "too new" }]);
    expect(search).toHaveBeenCalledTimes(1);
  });

  it("is told to try again later while the journal is not open, and why it is not", async () => {
    const EX_TEMPFAIL = 75;
    await expect(recordsOf(undefined).list(-1, 10)).rejects.toMatchObject({
      message: "the daemon has not opened the journal yet",
      exitStatus: EX_TEMPFAIL,
    });
    await expect(recordsOf(undefined, "EACCES").retry("all")).rejects.toThrow("yet: EACCES");
  });
});

describe("retry", () => {
  it("has parked records handed over again", async () => {
    const numbers = [await append("a", PARKED), await append("b", PARKED)];
    const other = await append("c", PARKED);
    expect(await records.retry(numbers)).toBe(2);
    expect(statesOf([...numbers, other])).toEqual([WAITING, WAITING, PARKED]);
    expect(told).toEqual([...numbers.map((number) => `rewind ${number}`), "wake"]);
  });

  it("refuses all records if one is not parked", async () => {
    const [parked, waiting] = [await append("a", PARKED), await append("b", WAITING)];
    const refused = records.retry([parked, waiting]);
    await expect(refused).rejects.toThrow(RecordRefused);
    await expect(refused).rejects.toThrow(`record ${waiting} is not parked`);
    expect([statesOf([parked, waiting]), told]).toEqual([[PARKED, WAITING], []]);
  });

  it("refuses a record that is not there", async () => {
    await append("a", PARKED, undefined, 2);
    await expect(records.retry([999])).rejects.toThrow("record 999 is not parked");
  });

  it("refuses all records if one is outdated", async () => {
    const numbers = [await append("a", PARKED), await append("b", PARKED)];
    await append("b", PARKED, undefined, 2);
    await expect(records.retry(numbers)).rejects.toThrow(`record ${numbers[1]} ${OUTDATED}`);
    expect([statesOf(numbers), told]).toEqual([[PARKED, PARKED], []]);
  });

  it("refuses a record if the handler of a later report is running, or has begun during the search", async () => {
    const number = await append("a", PARKED);
    const later = await append("a", WAITING, undefined, 2);
    remember(later, "a", { isRunning: true });
    await expect(records.retry([number])).rejects.toThrow(`record ${number} ${OUTDATED}`);
    expect(await records.retry("all")).toBe(0);
    entries.clear();
    const read = journal.read.bind(journal);
    const slow = vi.spyOn(journal, "read").mockImplementation(async (each) => {
      const payload = await read(each);
      // After the search for later reports.
      await journal.mark(later, RecordState.ACCOUNTED);
      return payload;
    });
    await expect(records.retry([number])).rejects.toThrow(`record ${number} ${OUTDATED}`);
    slow.mockRestore();
    expect([statesOf([number]), told]).toEqual([[PARKED], []]);
  });

  it("is not refused because of a later report that waits or was dropped", async () => {
    const numbers = [await append("a", PARKED), await append("b", PARKED)];
    await append("a", WAITING, undefined, 2);
    await append("b", GONE, undefined, 2);
    expect(await records.retry(numbers)).toBe(2);
  });

  it("refuses a record on which another administrator has decided in the meantime", async () => {
    const number = await append("a", PARKED);
    const both = await Promise.allSettled([records.retry([number]), records.retry([number])]);
    expect(both.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(told).toEqual([`rewind ${number}`, "wake"]);
  });

  it("of all leaves out those that are outdated, and those that are not parked", async () => {
    const outdated = await append("a", PARKED);
    const numbers = [await append("a", PARKED, undefined, 2), await append("b", PARKED)];
    const began = await append("c", BEGAN);
    expect(await records.retry("all")).toBe(2);
    expect(statesOf([outdated, ...numbers, began])).toEqual([PARKED, WAITING, WAITING, BEGAN]);
    expect(told).toEqual([...numbers.map((number) => `rewind ${number}`), "wake"]);
  });

  it("of all hands a record over once, although its handler fails again in the meantime", async () => {
    await append("a", PARKED);
    await append("b", PARKED);
    // As if each record were parked again as soon as it waits.
    mark = async () => {};
    expect(await records.retry("all")).toBe(2);
  });

  it("of all writes at most 50,000 marks together, and leaves none out", async () => {
    const numbers = await Promise.all(
      Array.from({ length: 50_001 }, (_, i) => append(`${i}`, PARKED)),
    );
    let [open, most] = [0, 0];
    mark = async (number, state) => {
      most = Math.max(most, ++open);
      await journal.mark(number, state);
      open--;
    };
    expect(await records.retry("all")).toBe(numbers.length);
    expect(most).toBe(50_000);
    expect(new Set(statesOf(numbers))).toEqual(new Set([WAITING]));
  });

  it("fails if the disk refuses the marks", async () => {
    const number = await append("a", PARKED);
    mark = () => Promise.reject(new Error("EIO"));
    await expect(records.retry([number])).rejects.toThrow("EIO");
  });

  it("of all does not wake the queue if nothing is parked", async () => {
    await append("a", WAITING);
    expect(await records.retry("all")).toBe(0);
    expect(told).toEqual([]);
  });
});

describe("drop", () => {
  it("removes records that wait or are parked, also from the queue, and counts them", async () => {
    const numbers = [await append("a", WAITING), await append("b", PARKED)];
    const other = await append("c", WAITING);
    expect(await records.drop([...numbers, ...numbers])).toBe(2);
    expect(statesOf([...numbers, other])).toEqual([GONE, GONE, WAITING]);
    expect(told).toEqual(numbers.map((number) => `withdraw ${number}`));
    expect(records.dropped).toBe(2);
    await records.drop([other]);
    expect(records.dropped).toBe(3);
  });

  it("refuses all records if the handler of one runs, whether or not it is marked as begun", async () => {
    const [waiting, running] = [await append("a", WAITING), await append("b", WAITING)];
    const began = await append("c", BEGAN);
    remember(running, "b", { isRunning: true });
    remember(waiting, "a", {});
    for (const number of [running, began])
      await expect(records.drop([waiting, number])).rejects.toThrow(
        `record ${number} is not dropped: its handler runs`,
      );
    expect([statesOf([waiting, running]), told]).toEqual([[WAITING, WAITING], []]);
    expect(records.dropped).toBe(0);
  });

  it("refuses all records if one is not there, or is already accounted", async () => {
    const [waiting, accounted] = [
      await append("a", WAITING),
      await append("b", RecordState.ACCOUNTED),
    ];
    for (const number of [accounted, 999])
      await expect(records.drop([waiting, number])).rejects.toThrow(
        `record ${number} is not in the journal`,
      );
    expect(journal.state(waiting)).toBe(WAITING);
  });
});
