/** Somebody removes the files, or the whole directory, while the journal is open. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { DiskDirectory } from "./directory.ts";
import { JournalError, NoRecord } from "./errors.ts";
import { Journal } from "./journal.ts";
import { RecordState } from "./record-table.ts";

let path: string;
let journal: Journal;
let before: number;
beforeEach(async () => {
  path = mkdtempSync(join(tmpdir(), "journal-removal-"));
  journal = await Journal.open(new DiskDirectory(path));
  before = await journal.append(Buffer.from("before"));
});
afterEach(async () => {
  await journal.close();
  rmSync(path, { recursive: true, force: true });
});

it("removal of the directory makes appends fail until it exists again", async () => {
  rmSync(path, { recursive: true });
  for (let i = 0; i < 2; i++)
    await expect(journal.append(Buffer.from("lost"))).rejects.toThrow(JournalError);
  expect(journal.lastError).toContain("ENOENT");
  mkdirSync(path);
  const after = await journal.append(Buffer.from("after"));
  expect((await journal.read(after)).toString()).toBe("after");
  expect(readdirSync(path)).toHaveLength(1);
});

it("removal of the files leaves the rest of the journal in use", async () => {
  for (const name of readdirSync(path)) rmSync(join(path, name));
  await expect(journal.append(Buffer.from("lost"))).rejects.toThrow("the file was removed");
  const after = await journal.append(Buffer.from("after"));
  await expect(journal.read(before)).rejects.toThrow(NoRecord);
  const found: number[] = [];
  await journal.visit(({ number }) => found.push(number));
  expect(found).toEqual([after]);
  await journal.mark(before, RecordState.PARKED);
  expect([...journal.records()].map(({ number }) => number)).toEqual([before, after]);
});
