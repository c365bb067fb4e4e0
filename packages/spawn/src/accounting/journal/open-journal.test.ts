import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { JournalConfig } from "../../config/accounting.ts";
import { JournalStore } from "./journal-store.ts";
import { openJournal } from "./open-journal.ts";

let parent: string;
let config: JournalConfig;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "open-journal-"));
  config = { directory: join(parent, "deep/journal"), limitBytes: 16 * 2 ** 20 };
});
afterEach(() => rmSync(parent, { recursive: true }));

it("creates the journal with mode 0700, and locks it", async () => {
  const opened = await openJournal(config);
  expect(statSync(config.directory).mode & 0o777).toBe(0o700);
  await expect(openJournal(config)).rejects.toThrow("is another daemon running?");
  await opened.close();
  await (await openJournal(config)).close();
});

it("leaves the mode of an existing directory as it is", async () => {
  mkdirSync(config.directory, { recursive: true });
  chmodSync(config.directory, 0o755);
  const opened = await openJournal(config);
  await opened.journal.append(Buffer.from("a record"));
  await opened.close();
  expect(statSync(config.directory).mode & 0o777).toBe(0o755);
  const [name = ""] = readdirSync(config.directory);
  expect(statSync(join(config.directory, name)).mode & 0o777).toBe(0o600);
});

it("logs damaged bytes once, and uses the journal", async () => {
  const first = await openJournal(config);
  for (let i = 0; i < 3; i++) await first.journal.append(Buffer.from('{"a":"record"}'));
  await first.close();
  const [name = ""] = readdirSync(config.directory);
  const file = join(config.directory, name);
  const bytes = readFileSync(file);
  bytes.write("X", bytes.indexOf("record"));
  writeFileSync(file, bytes);
  const log: string[] = [];
  const store = new JournalStore(config, openJournal, (_, text) => log.push(text));
  await store.whenOpen;
  expect(store.gauges.journalRecords).toBe(2);
  await store.close();
  expect(log).toEqual([expect.stringMatching(/journal: [0-9]+ damaged bytes; the file is kept$/)]);
  expect(store.gauges.damagedFiles).toBe(1);
});
