/** A write that a power failure has cut off is distinguished from damage to confirmed records. */
import { beforeEach, describe, expect, it } from "vitest";
import { frameSize } from "./frame.ts";
import { Journal } from "./journal.ts";
import { RecordState } from "./record-table.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const OPTIONS = { limitBytes: 64 * 2 ** 20, segmentBytes: 64 * 1024, reserveBytes: 0 };
const SECTOR = 512;
const NAME = "00000001.journal";

let disk: SimulatedDisk;
/** The number of bytes that were on the disk before the last batch. */
let confirmedBytes: number;
/** The whole segment, with the last batch. */
let whole: Buffer;
/** The offset of the segment's last frame. */
let lastFrame: number;

const record = (id: string) => Buffer.from(JSON.stringify({ id, filler: "x".repeat(100) }));

/** Opens the journal. Returns the records that it finds, and whether it reports damage. */
async function start(): Promise<{ ids: string[]; isDamaged: boolean }> {
  const journal = await Journal.open(disk, OPTIONS);
  const ids: string[] = [];
  await journal.readOn(-1, ({ payload }) => {
    ids.push(payload instanceof Error ? payload.message : JSON.parse(payload.toString()).id);
    return true;
  });
  await journal.close();
  return { ids, isDamaged: journal.damage.length > 0 };
}

/**
 * Appends records without waiting in between: the first is written alone, and all others in the
 * next batch.
 */
async function append(journal: Journal, prefix: string, count: number): Promise<number[]> {
  const ids = Array.from({ length: count }, (_, i) => `${prefix}${i}`);
  const numbers = await Promise.all(ids.map((id) => journal.append(record(id))));
  await journal.settle();
  return numbers;
}

function setBytes(bytes: Buffer): void {
  const file = disk.files().get(NAME);
  if (file === undefined) throw new Error("there is no segment");
  file.cached = Buffer.from(bytes);
  file.durable = Buffer.from(bytes);
}

const flipped = (offset: number): Buffer => {
  const bytes = Buffer.from(whole);
  bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset);
  return bytes;
};

// The record b0 was confirmed; the other records of its `append` are the last batch.
const EARLIER = ["a0", "a1", "b0"];
const LATER = Array.from({ length: 19 }, (_, i) => `b${i + 1}`);

beforeEach(async () => {
  disk = new SimulatedDisk(() => 0.5);
  const journal = await Journal.open(disk, OPTIONS);
  await append(journal, "a", 2);
  confirmedBytes = journal.bytes + frameSize(record("b0").length);
  await append(journal, "b", 20);
  whole = Buffer.from(disk.files().get(NAME)?.cached ?? []);
  lastFrame = whole.length - frameSize(record("b19").length);
  await journal.close();
});

describe("a write that was never confirmed", () => {
  it.each([0, 8192])(
    "may leave any of its sectors behind, followed by %d zeros of a reserve: whole records count up to the first gap",
    async (zeros) => {
      const first = Math.floor(confirmedBytes / SECTOR);
      const sectors = Math.ceil(whole.length / SECTOR) - first;
      expect(sectors).toBeGreaterThan(5);
      for (let kept = 0; kept < 2 ** sectors; kept++) {
        const bytes = Buffer.from(whole);
        let lost = whole.length;
        for (let i = sectors - 1; i >= 0; i--) {
          if ((kept & (2 ** i)) !== 0) continue;
          lost = Math.max(confirmedBytes, (first + i) * SECTOR);
          bytes.subarray(lost, (first + i + 1) * SECTOR).fill(0);
        }
        setBytes(Buffer.concat([bytes, Buffer.alloc(zeros)]));
        const { ids, isDamaged } = await start();
        expect(isDamaged, `sectors ${kept.toString(2)}`).toBe(false);
        expect(ids).toEqual([...EARLIER, ...LATER].slice(0, ids.length));
        expect(disk.files().get(NAME)?.cached.length).toBeLessThanOrEqual(
          Math.max(lost, confirmedBytes),
        );
        expect(ids.length).toBeGreaterThanOrEqual(EARLIER.length);
      }
    },
  );

  it("does not come back, even if the rest of it cannot be cut off", async () => {
    setBytes(Buffer.from(whole).fill(0, confirmedBytes, 2 * SECTOR));
    disk.fail = (call) => (call === "reopen" ? "EROFS" : undefined);
    for (let i = 0; i < 2; i++) {
      expect(await start()).toEqual({ ids: EARLIER, isDamaged: false });
      expect(disk.files().get(NAME)?.cached.length).toBe(whole.length);
    }
    // It does not come back when the segment is rewritten, either.
    const journal = await Journal.open(disk, OPTIONS);
    const [number = 0] = [...journal.records()].map((each) => each.number);
    await journal.mark(number, RecordState.GONE);
    await journal.settle();
    await journal.close();
    expect(await start()).toEqual({ ids: EARLIER.slice(1), isDamaged: false });
  });
});

describe("in confirmed batches", () => {
  it("a flipped bit is damage, wherever it is, and only the record with it is lost", async () => {
    for (let at = confirmedBytes; at < whole.length; at += 3) {
      setBytes(flipped(at));
      const { ids, isDamaged } = await start();
      // The padding between frames belongs to no record.
      if (ids.length === 22) continue;
      expect(isDamaged, `byte ${at}`).toBe(true);
      expect(ids).toHaveLength(21);
    }
  });

  it("a flipped bit is damage, even before the zeros of a reserve", async () => {
    for (let at = confirmedBytes; at < whole.length; at++) {
      setBytes(Buffer.concat([flipped(at), Buffer.alloc(8192)]));
      const { ids, isDamaged } = await start();
      if (ids.length === 22) continue;
      // If its size is wrong, the last frame may look like a larger one that was cut off.
      if (at - lastFrame >= 20 && at - lastFrame < 24) continue;
      expect(isDamaged, `byte ${at}`).toBe(true);
      expect(ids).toHaveLength(21);
    }
  });

  it("sectors of zeros are damage, if anything was written after their batch", async () => {
    disk = new SimulatedDisk(() => 0.5);
    const other = await Journal.open(disk, OPTIONS);
    await append(other, "a", 2);
    await append(other, "b", 20);
    await append(other, "c", 1);
    await other.close();
    const bytes = Buffer.from(disk.files().get(NAME)?.cached ?? []);
    setBytes(bytes.fill(0, 2 * SECTOR, 3 * SECTOR));
    const { ids, isDamaged } = await start();
    expect(isDamaged).toBe(true);
    expect(ids).toContain("c0");
    expect(ids).toContain("b19");
  });

  it("zeros that begin before the last batch are damage", async () => {
    setBytes(Buffer.from(whole).fill(0, confirmedBytes - 100, 2 * SECTOR));
    const { ids, isDamaged } = await start();
    expect(isDamaged).toBe(true);
    expect(ids).toContain("b19");
  });

  it("an unreadable block is damage, and the records after it are there", async () => {
    disk = new SimulatedDisk(() => 0.5);
    const journal = await Journal.open(disk, OPTIONS);
    await append(journal, "a", 100);
    await journal.close();
    disk.unreadable = { name: NAME, from: 4096, to: 4097 };
    const { ids, isDamaged } = await start();
    expect(isDamaged).toBe(true);
    expect(ids).toContain("a99");
  });

  it("a flipped bit is damage, even if a write after it was cut off", async () => {
    const bytes = flipped(confirmedBytes + 40);
    setBytes(Buffer.concat([bytes, whole.subarray(confirmedBytes, confirmedBytes + 50)]));
    const { ids, isDamaged } = await start();
    expect(isDamaged).toBe(true);
    expect(ids).toContain("b19");
  });
});

describe("zeros of a reserve that became a segment", () => {
  it("are cut off at the next start after a kill", async () => {
    const options = { ...OPTIONS, reserveBytes: 8192 };
    disk = new SimulatedDisk(() => 0.5);
    const journal = await Journal.open(disk, options);
    const [number = 0] = await append(journal, "a", 1);
    disk.capacityBytes = 0;
    await journal.mark(number, RecordState.BEGAN);
    const sizes = () =>
      [...disk.files().values()].reduce((sum, { cached }) => sum + cached.length, 0);
    expect(sizes()).toBeGreaterThan(8192);
    disk.kill();
    await journal.close();
    disk.reboot();
    const again = await Journal.open(disk, { ...options, reserveBytes: 0 });
    expect(again.damage).toEqual([]);
    expect(again.state(number)).toBe(RecordState.BEGAN);
    expect(sizes()).toBe(again.bytes);
    await again.close();
  });
});
