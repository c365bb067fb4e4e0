/**
 * Reads `fixtures/format-1.journal`, which an earlier version wrote: the frames do not say where
 * their batches begin, and paths and attributes have JSON escapes.
 */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeRecord, tryParseRecord } from "@cm4all/cgroup";
import { DiskDirectory, Journal, RecordState } from "@cm4all/journal";
import { bytesOfLatin1, bytesOfText, latin1Of } from "@cm4all/linux";
import { afterEach, beforeEach, expect, it } from "vitest";

const FIXTURE = join(import.meta.dirname, "../../../fixtures/format-1.journal");

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "journal-"));
  copyFileSync(FIXTURE, join(directory, "00000001.journal"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const id = (i: number) => `b7b6c3a4-0000-4000-8000-000000000001:${i}`;

function expected(path: string, i: number) {
  const snapshot = { path: bytesOfLatin1(path), id: id(i), report: 1, measuredMs: 1.764e12 };
  const xattrs = [[[bytesOfText("user.account"), bytesOfLatin1('\x02"\\\xfe')]]] as const;
  return { snapshot: { ...snapshot, cpuTotalUsec: 999 + i }, xattrs };
}

it("a journal in an earlier format is read, and takes new records", async () => {
  const records = [expected("/plain", 1), expected('/\x01\x1f"\\\xff', 2), expected("/parked", 3)];
  const options = { limitBytes: 1e9, segmentBytes: 1e6, reserveBytes: 0 };
  for (let life = 0; life < 2; life++) {
    const journal = await Journal.open(new DiskDirectory(directory), options);
    expect(journal.damage).toEqual([]);
    const found = [...journal.records()];
    for (const [i, { number }] of found.entries())
      expect(tryParseRecord((await journal.read(number)).toString())).toEqual(records[i]);
    expect(found.map(({ state }) => state)).toEqual(
      [RecordState.WAITING, RecordState.WAITING, RecordState.PARKED, RecordState.WAITING].slice(
        0,
        3 + life,
      ),
    );
    const [, , parked] = found;
    if (parked === undefined) throw new Error("the parked record is missing");
    expect(await journal.notes([parked.number])).toEqual(new Map([[parked.number, "because"]]));
    const added = expected(`/${latin1Of(bytesOfText("new"))}\x03`, 4);
    records.push(added);
    await journal.append(Buffer.from(encodeRecord(added).json));
    await journal.close();
  }
});
