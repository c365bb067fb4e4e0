import { Journal, RecordState } from "@cm4all/journal";
import { SimulatedDisk } from "@cm4all/journal/simulated-disk";
import { bytesOfText } from "@cm4all/linux";
import { beforeEach, describe, expect, it } from "vitest";
import { INTERRUPTED, recover } from "./recovery.ts";

const { WAITING, BEGAN, PARKED, GONE, ACCOUNTED, REPLACED } = RecordState;
const BOOT = "this-boot";

let journal: Journal;
beforeEach(async () => {
  const disk = new SimulatedDisk(() => 0.5);
  journal = await Journal.open(disk, {
    limitBytes: 2 ** 24,
    segmentBytes: 4096,
    reserveBytes: 4096,
  });
});

async function append(id: string, state: RecordState): Promise<number> {
  const snapshot = { path: bytesOfText(`/${id}`), id, report: 1, measuredMs: 0 };
  const number = await journal.append(Buffer.from(JSON.stringify({ snapshot, xattrs: [] })));
  if (state !== WAITING) await journal.mark(number, state);
  return number;
}

describe("at a start", () => {
  it.each([
    [true, PARKED, { parked: 1, lost: 0 }],
    [false, GONE, { parked: 0, lost: 1 }],
  ])("what has begun is parked, or lost without retries (%s)", async (retry, state, counted) => {
    const number = await append(`${BOOT}:1`, BEGAN);
    expect(await recover(journal, { bootId: BOOT, retry })).toEqual(counted);
    expect(journal.state(number)).toBe(state);
    const notes: string[] = [];
    await journal.settle();
    await journal.visit((entry) => {
      if (entry.kind === "mark" && entry.note !== "") notes.push(entry.note);
    });
    expect(notes).toEqual(retry ? [INTERRUPTED] : []);
  });

  it("what is accounted is remembered in its boot", async () => {
    const [here, before] = [
      await append(`${BOOT}:1`, ACCOUNTED),
      await append("other-boot:1", ACCOUNTED),
    ];
    await recover(journal, { bootId: BOOT, retry: true });
    expect([here, before].map((number) => journal.state(number))).toEqual([ACCOUNTED, GONE]);
  });

  it("of a record and the one in its place one is left", async () => {
    const replaced = await append(`${BOOT}:1`, REPLACED);
    const alone = await append(`${BOOT}:2`, REPLACED);
    const place = await append(`${BOOT}:1`, WAITING);
    await recover(journal, { bootId: BOOT, retry: true });
    expect([replaced, alone, place].map((number) => journal.state(number))).toEqual([
      GONE,
      WAITING,
      WAITING,
    ]);
  });

  it("what waits and what is parked stays so", async () => {
    const numbers = [await append("other-boot:1", WAITING), await append(`${BOOT}:1`, PARKED)];
    await recover(journal, { bootId: BOOT, retry: true });
    expect(numbers.map((number) => journal.state(number))).toEqual([WAITING, PARKED]);
  });
});
