import { encodeRecord } from "@cm4all/cgroup";
import { Journal, RecordState } from "@cm4all/journal";
import { SimulatedDisk } from "@cm4all/journal/simulated-disk";
import { bytesOfText } from "@cm4all/linux";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { OldestWaiting } from "./oldest-waiting.ts";

const OPTIONS = { limitBytes: 16 * 2 ** 20, segmentBytes: 2 ** 20, reserveBytes: 0 };

let disk: SimulatedDisk;
let journal: Journal;
let oldest: OldestWaiting;
let answer: () => void;

beforeEach(async () => {
  disk = new SimulatedDisk(() => 0.5);
  journal = await Journal.open(disk, OPTIONS);
  oldest = new OldestWaiting();
  // From now on reads wait until `answer` is called.
  const open = disk.open.bind(disk);
  const isAnswering = new Promise<void>((resolve) => {
    answer = resolve;
  });
  disk.open = async (name) => {
    await isAnswering;
    return open(name);
  };
});

function record(measuredMs: number): Buffer {
  const id = `boot:${measuredMs}`;
  const snapshot = { path: bytesOfText(`/${id}`), id, report: 1, measuredMs };
  return Buffer.from(encodeRecord({ snapshot, xattrs: [] }).json);
}

describe("OldestWaiting", () => {
  it("does not wait for a disk that hangs, and has the time once the disk has answered", async () => {
    const first = await journal.append(record(1000));
    await journal.append(record(2000));
    const read = vi.spyOn(journal, "read");
    expect(oldest.measuredMs(journal)).toBeUndefined();
    expect(oldest.measuredMs(journal)).toBeUndefined();
    expect(read).toHaveBeenCalledTimes(1);
    answer();
    await vi.waitFor(() => expect(oldest.measuredMs(journal)).toBe(1000));
    await journal.mark(first, RecordState.GONE);
    // The previous time, until the next record has been read.
    expect(oldest.measuredMs(journal)).toBe(1000);
    await vi.waitFor(() => expect(oldest.measuredMs(journal)).toBe(2000));
  });

  it("returns no time of a settled record after new records have come", async () => {
    answer();
    const first = await journal.append(record(1000));
    await vi.waitFor(() => expect(oldest.measuredMs(journal)).toBe(1000));
    await journal.mark(first, RecordState.GONE);
    expect(oldest.measuredMs(journal)).toBeUndefined();
    await journal.append(record(3000));
    expect(oldest.measuredMs(journal)).toBeUndefined();
    await vi.waitFor(() => expect(oldest.measuredMs(journal)).toBe(3000));
  });

  it("regards a record whose handler runs as waiting, but not a parked one", async () => {
    answer();
    const first = await journal.append(record(1000));
    await journal.append(record(2000));
    await journal.mark(first, RecordState.BEGAN);
    await vi.waitFor(() => expect(oldest.measuredMs(journal)).toBe(1000));
    await journal.mark(first, RecordState.PARKED);
    await vi.waitFor(() => expect(oldest.measuredMs(journal)).toBe(2000));
  });

  it("finds an earlier record that waits again", async () => {
    answer();
    const numbers: number[] = [];
    for (const ms of [1000, 2000, 3000]) numbers.push(await journal.append(record(ms)));
    const [first = -1, second = -1] = numbers;
    for (const number of [first, second]) await journal.mark(number, RecordState.PARKED);
    await vi.waitFor(() => expect(oldest.measuredMs(journal)).toBe(3000));
    await journal.mark(second, RecordState.WAITING);
    oldest.rewind(second);
    await vi.waitFor(() => expect(oldest.measuredMs(journal)).toBe(2000));
    // If a later record is noted first, the earlier one is found all the same.
    oldest.rewind(numbers.at(-1) ?? -1);
    await journal.mark(first, RecordState.WAITING);
    oldest.rewind(first);
    await vi.waitFor(() => expect(oldest.measuredMs(journal)).toBe(1000));
  });

  it("has no time while the journal is not open, or when the record cannot be read", async () => {
    answer();
    await journal.append(record(1000));
    await vi.waitFor(() => expect(oldest.measuredMs(journal)).toBe(1000));
    expect(oldest.measuredMs(undefined)).toBeUndefined();
    disk.fail = (call) => (call === "read" ? "EIO" : undefined);
    const read = vi.spyOn(journal, "read");
    expect(oldest.measuredMs(journal)).toBeUndefined();
    await vi.waitFor(() => expect(read.mock.settledResults[0]?.type).toBe("rejected"));
    expect(oldest.measuredMs(journal)).toBeUndefined();
    // The record is not read again and again.
    expect(read).toHaveBeenCalledTimes(1);
  });
});
