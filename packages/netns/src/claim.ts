/** How a process lays claim to a name: it locks the name's record, and keeps that true. */
import { CommandFailure, EX_TEMPFAIL, EX_USAGE } from "@cm4all/command";
import type { Holdings } from "./holdings.ts";
import { nameProblem } from "./name.ts";
import { RecordFile } from "./record.ts";
import type { NamespaceRecord } from "./record-text.ts";

/** @throws CommandFailure for a name that cannot be one */
export function checkName(name: string): void {
  const problem = nameProblem(name);
  if (problem !== undefined)
    throw new CommandFailure(`${JSON.stringify(name)}: ${problem}`, EX_USAGE);
}

/** @throws CommandFailure where another process works on the same name */
export function lockRecord(name: string): RecordFile {
  const record = RecordFile.tryLock(name);
  if (record !== undefined) return record;
  throw new CommandFailure(`another process is at work on ${name} now`, EX_TEMPFAIL);
}

/** What is undone is no longer recorded. */
export function keepRecord(
  holdings: Holdings,
  record: RecordFile,
  known: NamespaceRecord | undefined,
): void {
  holdings.lock = record.lock;
  holdings.save = () => {
    if (known !== undefined) record.write({ ...known, settings: holdings.settings });
  };
}
