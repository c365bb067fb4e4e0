import { Journal, RecordState } from "@cm4all/journal";
import { SimulatedDisk } from "@cm4all/journal/simulated-disk";
import { bytesOfText } from "@cm4all/linux";
import { beforeEach, describe, expect, it } from "vitest";
import { INTERRUPTED, recover } from "./recovery.ts";

const { WAITING, BEGAN, PARKED, GONE, ACCOUNTED, REPLACED } = RecordState;
const BOOT = "this-boot";

const OPTIONS = { limitBytes: 2 ** 24, segmentBytes: 4096, reserveBytes: 4096 };

let disk: SimulatedDisk;
let journal: Journal;
beforeEach(async () => {
  disk = new SimulatedDisk(() => 0.5);
  journal = await Journal.open(disk, OPTIONS);
});

async function append(id: string, state: RecordState, report = 1): Promise<number> {
  const snapshot = { path: bytesOfText(`/${id}`), id, report, measuredMs: 0 };
  const number = await journal.append(Buffer.from(JSON.stringify({ snapshot, xattrs: [] })));
  if (state !== WAITING) await journal.mark(number, state);
  return number;
}

describe("recovery at startup", () => {
  it.each([
    [true, PARKED, { parked: 1, doubtful: 0, lost: 0 }],
    [false, GONE, { parked: 0, doubtful: 0, lost: 1 }],
  ])(
    "parks records whose handlers had begun, or loses them if retries are off (retry: %s)",
    async (retry, state, counted) => {
      const number = await append(`${BOOT}:1`, BEGAN);
      expect(await recover(journal, { bootId: BOOT, retry })).toMatchObject(counted);
      expect(journal.state(number)).toBe(state);
      const notes: string[] = [];
      await journal.settle();
      await journal.visit((entry) => {
        if (entry.kind === "mark" && entry.note !== "") notes.push(entry.note);
      });
      expect(notes).toEqual(retry ? [INTERRUPTED] : []);
    },
  );

  it("keeps accounted records until the next boot", async () => {
    const [here, before] = [
      await append(`${BOOT}:1`, ACCOUNTED),
      await append("other-boot:1", ACCOUNTED),
    ];
    await recover(journal, { bootId: BOOT, retry: true });
    expect([here, before].map((number) => journal.state(number))).toEqual([ACCOUNTED, GONE]);
  });

  it("keeps accounted records of earlier boots while an earlier report is parked", async () => {
    const [first, second] = [
      await append("other-boot:1", PARKED),
      await append("other-boot:2", BEGAN),
    ];
    const other = await append("other-boot:3", PARKED, 2);
    const ids = ["other-boot:1", "other-boot:2", "other-boot:3"];
    const later: number[] = [];
    for (const id of ids) later.push(await append(id, ACCOUNTED, 2));
    await recover(journal, { bootId: BOOT, retry: true });
    expect([first, second, other].map((each) => journal.state(each))).toEqual(
      Array(3).fill(PARKED),
    );
    expect(later.map((each) => journal.state(each))).toEqual([ACCOUNTED, ACCOUNTED, GONE]);
    await journal.mark(first, GONE);
    await recover(journal, { bootId: BOOT, retry: true });
    expect(later.map((each) => journal.state(each))).toEqual([GONE, ACCOUNTED, GONE]);
  });

  it("tells which waiting records follow parked ones", async () => {
    const first = await append(`${BOOT}:1`, PARKED);
    const second = await append(`${BOOT}:1`, PARKED, 2);
    const waiting = [
      await append(`${BOOT}:1`, WAITING, 3),
      await append(`${BOOT}:2`, WAITING),
      await append(`${BOOT}:2`, WAITING, 2),
    ];
    const { following } = await recover(journal, { bootId: BOOT, retry: true });
    expect([...following]).toEqual([[waiting[0], second]]);
    await journal.mark(second, GONE);
    const again = await recover(journal, { bootId: BOOT, retry: true });
    expect([...again.following]).toEqual([[waiting[0], first]]);
  });

  it("keeps a replaced record only if its replacement was not written", async () => {
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

  it("leaves waiting and parked records as they are", async () => {
    const numbers = [await append("other-boot:1", WAITING), await append(`${BOOT}:1`, PARKED)];
    await recover(journal, { bootId: BOOT, retry: true });
    expect(numbers.map((number) => journal.state(number))).toEqual([WAITING, PARKED]);
  });
});

describe("recovery after damage", () => {
  /** Flips a bit in the first mark of a record in a file. */
  function damageMark(name: string, number: number): void {
    const bytes = disk.files().get(name)?.cached ?? Buffer.alloc(0);
    for (let offset = 0; offset + 24 < bytes.length; offset += 8)
      if (bytes.readUInt32LE(offset) === 0x014a4300 && bytes.readUInt8(offset + 16) === 3)
        if (Number(bytes.readBigUInt64LE(offset + 8)) === number) {
          bytes.writeUInt8(bytes.readUInt8(offset + 24) ^ 64, offset + 24);
          return;
        }
    throw new Error(`${name} has no mark of ${number}`);
  }

  async function restart(): Promise<Journal> {
    await journal.close();
    return Journal.open(disk, OPTIONS);
  }

  const start = () => recover(journal, { bootId: BOOT, retry: true });

  it("parks records whose marks may be lost, until an administrator decides", async () => {
    const done = await append("other-boot:1", WAITING);
    const waiting = await append("other-boot:2", WAITING);
    await journal.mark(done, GONE);
    const later = await append("other-boot:3", WAITING);
    damageMark("00000001.journal", done);
    journal = await restart();
    expect(journal.state(done)).toBe(WAITING);
    const fresh = await append("other-boot:4", WAITING);
    expect(await start()).toMatchObject({ parked: 0, doubtful: 3, lost: 0 });
    await journal.settle();
    expect([done, waiting, later].map((each) => journal.state(each))).toEqual(
      Array(3).fill(PARKED),
    );
    expect(journal.state(fresh)).toBe(WAITING);
    expect((await journal.notes([done])).get(done)).toBe(
      "marks may be lost: 00000001.journal is damaged",
    );
    await journal.mark(waiting, WAITING);
    journal = await restart();
    expect(await start()).toMatchObject({ parked: 0, doubtful: 0, lost: 0 });
    expect(journal.state(waiting)).toBe(WAITING);
  });

  it("keeps the damaged file until all older records have gone", async () => {
    const numbers: number[] = [];
    for (let i = 0; i < 30; i++) numbers.push(await append(`other-boot:${i}`, WAITING));
    const [done = 0, waiting = 0] = numbers;
    journal = await restart();
    // The second segment has no records left, only the marks, one of which is damaged below.
    const other = await append("other-boot:x", WAITING);
    await journal.mark(done, GONE);
    await journal.mark(other, GONE);
    const name = [...disk.files().keys()].filter((each) => each.endsWith(".journal")).at(-1);
    damageMark(name ?? "", done);
    for (let i = 0; i < 2; i++) {
      journal = await restart();
      await journal.settle();
    }
    await start();
    expect([done, waiting].map((each) => journal.state(each))).toEqual([PARKED, PARKED]);
  });

  it("ignores a write that was cut off at the end of a file", async () => {
    const waiting = await append("other-boot:1", WAITING);
    await append("other-boot:2", WAITING);
    await journal.close();
    const file = disk.files().get("00000001.journal");
    if (file === undefined) throw new Error("the file is gone");
    file.cached = file.cached.subarray(0, -20);
    journal = await Journal.open(disk, OPTIONS);
    expect(await start()).toMatchObject({ parked: 0, doubtful: 0, lost: 0 });
    expect(journal.state(waiting)).toBe(WAITING);
  });
});
