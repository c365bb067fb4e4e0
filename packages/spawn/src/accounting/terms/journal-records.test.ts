import { encodeRecord } from "@cm4all/cgroup";
import { Journal, RecordState } from "@cm4all/journal";
import { SimulatedDisk } from "@cm4all/journal/simulated-disk";
import { bytesOfText } from "@cm4all/linux";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { JournalRecords } from "./journal-records.ts";

const { WAITING, BEGAN, PARKED, GONE, ACCOUNTED, REPLACED } = RecordState;

let disk: SimulatedDisk;
let journal: Journal;
let records: JournalRecords;

beforeEach(async () => {
  disk = new SimulatedDisk(() => 0.5);
  journal = await Journal.open(disk);
  records = new JournalRecords(journal);
});

afterEach(() => journal.close());

/** Appends the record of a cgroup. */
async function append(id: string, state: RecordState = WAITING, note?: string): Promise<number> {
  const snapshot = { path: bytesOfText(`/${id}`), id, report: 1, measuredMs: 5 };
  const number = await journal.append(Buffer.from(encodeRecord({ snapshot, xattrs: [] }).json));
  if (state !== WAITING) await journal.mark(number, state, note);
  return number;
}

const numbersOf = (page: readonly { readonly number: number }[]) =>
  page.map(({ number }) => number);

describe("the list", () => {
  it("has the records that an administrator may decide on, oldest first", async () => {
    const [waiting, began, parked] = [
      await append("a"),
      await append("b", BEGAN),
      await append("c", PARKED, "no route"),
    ];
    for (const state of [GONE, ACCOUNTED, REPLACED]) await append("d", state);
    const common = { report: 1, measuredMs: 5 };
    expect(await records.list(-1, 10)).toEqual([
      { number: waiting, state: "waiting", id: "a", path: bytesOfText("/a"), ...common },
      { number: began, state: "began", id: "b", path: bytesOfText("/b"), ...common },
      {
        number: parked,
        state: "parked",
        id: "c",
        path: bytesOfText("/c"),
        reason: "no route",
        ...common,
      },
    ]);
  });

  it("comes in pages, of which only the last is empty", async () => {
    const numbers = [await append("a"), await append("b"), await append("c")];
    const [first = -1, second = -1, third = -1] = numbers;
    expect(numbersOf(await records.list(-1, 2))).toEqual([first, second]);
    expect(numbersOf(await records.list(second, 2))).toEqual([third]);
    expect(await records.list(third, 2)).toEqual([]);
  });

  it("gives no reason if none was noted", async () => {
    await append("a", PARKED, "");
    await append("b", PARKED);
    const page = await records.list(-1, 10);
    expect(page.map((summary) => "reason" in summary)).toEqual([false, false]);
  });

  it("shows that a record cannot be read, and why", async () => {
    const number = await journal.append(Buffer.from("{}"));
    const [summary] = await records.list(-1, 10);
    expect(summary).toEqual({
      number,
      state: "waiting",
      reason: "it cannot be read: it is not a record that this version can read",
    });
  });

  it("reads the reasons for many pages in one pass, and again for a new list", async () => {
    const numbers: number[] = [];
    for (const id of ["a", "b", "c"]) numbers.push(await append(id, PARKED, "before"));
    const notes = vi.spyOn(journal, "notes");
    const [first = -1, second = -1] = numbers;
    const reasonsAfter = async (after: number) =>
      (await records.list(after, 1)).map(({ reason }) => reason);
    for (const after of [-1, first, second]) expect(await reasonsAfter(after)).toEqual(["before"]);
    expect(notes).toHaveBeenCalledTimes(1);
    await journal.mark(first, PARKED, "after");
    expect(await reasonsAfter(-1)).toEqual(["after"]);
    expect(notes).toHaveBeenCalledTimes(2);
  });

  it("reads the reasons of records that were parked in the meantime", async () => {
    const first = await append("a", PARKED, "one");
    await records.list(-1, 1);
    const last = await append("b", PARKED, "two");
    expect(await records.list(first, 1)).toMatchObject([{ number: last, reason: "two" }]);
  });

  it("reads no reasons if nothing is parked", async () => {
    await append("a");
    const notes = vi.spyOn(journal, "notes");
    await records.list(-1, 10);
    expect(notes).not.toHaveBeenCalled();
  });
});

describe("a search", () => {
  it("by a number finds that record, with its contents", async () => {
    await append("a");
    const number = await append("b", PARKED, "no route");
    const [found, ...others] = await records.find(String(number));
    expect(found?.summary).toMatchObject({ number, state: "parked", reason: "no route" });
    expect(found?.record?.snapshot.id).toBe("b");
    expect(others).toEqual([]);
  });

  it("by an id finds all records of the cgroup, oldest first", async () => {
    const numbers = [await append("boot:1"), await append("boot:1", BEGAN)];
    await append("boot:11");
    await append("boot:2");
    const found = await records.find("boot:1");
    expect(numbersOf(found.map(({ summary }) => summary))).toEqual(numbers);
    expect(found.map(({ summary }) => summary.state)).toEqual(["waiting", "began"]);
  });

  it("by an id finds no record in which the id is the value of another field", async () => {
    const snapshot = { path: bytesOfText("/a"), id: "boot:1", report: 1, measuredMs: 5 };
    const xattrs = [[[bytesOfText("user.a"), bytesOfText("boot:2")] as const]];
    await journal.append(Buffer.from(encodeRecord({ snapshot, xattrs }).json));
    await journal.append(Buffer.from('{"id":"boot:2"}'));
    expect(await records.find("boot:2")).toEqual([]);
  });

  it.each(["7", "1234567890123456", "boot:1", "a-1"])("for %s finds nothing", async (text) => {
    await append("a");
    expect(await records.find(text)).toEqual([]);
  });

  it("gives no reason for a record that is no longer parked", async () => {
    const number = await append("a", PARKED, "no route");
    await journal.mark(number, WAITING, "tried again");
    const [found] = await records.find("a");
    expect(found?.summary).not.toHaveProperty("reason");
  });

  it("finds a record that the disk cannot read, with the reason", async () => {
    const number = await append("a");
    disk.fail = (call) => (call === "read" ? "EIO" : undefined);
    expect(await records.find(String(number))).toEqual([
      {
        summary: { number, state: "waiting", reason: "it cannot be read: simulated EIO" },
        record: undefined,
      },
    ]);
  });
});
