/** Finds the records that are outdated, because a later report of their cgroup was handed over. */
import { type Journal, RecordState } from "@cm4all/journal";
import { findLater } from "../journal/later-reports.ts";

/** Why outdated records are not handed over again. */
export const OUTDATED =
  "is not handed over again: a later report of its cgroup was handed over, which includes its figures";

/**
 * Returns the numbers of the outdated records, as far as the journal's records can be read.
 * @param wanted the records to look at; undefined for all but those that wait
 * @throws system errors of reading
 */
export async function findOutdated(
  journal: Journal,
  wanted?: readonly number[],
): Promise<Set<number>> {
  const outdated = new Set<number>();
  for (const [number, later] of await findLater(journal, wanted))
    if (later.some((each) => wasHandedOver(journal, each))) outdated.add(number);
  return outdated;
}

/** Returns whether a record is still needed and no longer waits; see `RecordState`. */
export function wasHandedOver(journal: Journal, number: number): boolean {
  const state = journal.state(number);
  return state !== undefined && state !== RecordState.WAITING && state !== RecordState.GONE;
}
