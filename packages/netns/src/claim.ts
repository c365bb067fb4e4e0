/** Claims a name for this process: checks it, locks its record, and keeps the record up to date. */
import { CommandFailure, EX_TEMPFAIL, EX_USAGE } from "@cm4all/command";
import type { Holdings } from "./holdings.ts";
import { nameProblem } from "./name.ts";
import { RecordFile } from "./record.ts";
import type { NamespaceRecord } from "./record-text.ts";

/** Checks a name. @throws CommandFailure if it cannot be the name of a namespace */
export function checkName(name: string): void {
  const problem = nameProblem(name);
  if (problem !== undefined)
    throw new CommandFailure(`${JSON.stringify(name)}: ${problem}`, EX_USAGE);
}

/**
 * Locks the record; the caller closes it.
 * @throws CommandFailure if another process is working on the name
 */
export function lockRecord(name: string): RecordFile {
  const record = RecordFile.tryLock(name);
  if (record !== undefined) return record;
  throw new CommandFailure(`another process is at work on ${name} now`, EX_TEMPFAIL);
}

/**
 * Gives `holdings` access to the lock of the name, and a `save` that rewrites the record with the
 * settings that remain to be restored.
 * @param known the content of the record; undefined if the record is empty and is to stay empty
 */
export function keepRecord(
  holdings: Holdings,
  record: RecordFile,
  known: NamespaceRecord | undefined,
): void {
  holdings.lock = () => record.lock;
  holdings.save = () => {
    if (known !== undefined) record.write({ ...known, settings: holdings.settings });
  };
}
