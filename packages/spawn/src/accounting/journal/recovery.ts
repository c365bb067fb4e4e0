/** Decides on the records that an earlier run of the daemon has left unfinished. */
import { tryParseRecord } from "@cm4all/cgroup";
import { type Journal, NoRecord, RecordState } from "@cm4all/journal";
import { isErrno } from "@cm4all/linux";
import { isOfBoot } from "../terms/boot.ts";
import { findByIds } from "./journal-lookup.ts";
import { findLater } from "./later-reports.ts";

/** The reason for parking a record whose handler was running when the daemon ended. */
export const INTERRUPTED =
  "the daemon ended while a handler was running, which may have had an effect";

/** Returns the reason for parking a record that seems to wait, although a mark may be lost. */
function doubtful(file: string): string {
  return `marks may be lost: ${file} is damaged`;
}

/** How many records were parked or lost, and which records follow parked ones. */
export interface Recovered {
  parked: number;
  /** Parked because of damage: their handlers may have been called. */
  doubtful: number;
  lost: number;
  /** The number of a cgroup's latest parked report, by the number of a later report that waits. */
  following: ReadonlyMap<number, number>;
}

/**
 * Gives each record a state from which the daemon can continue.
 * @param retry if false, a record that is marked as begun is dropped, not parked
 * @throws system errors of reading
 */
export async function recover(
  journal: Journal,
  { bootId, retry }: { readonly bootId: string; readonly retry: boolean },
): Promise<Recovered> {
  const recovered: Recovered = { parked: 0, doubtful: 0, lost: 0, following: new Map() };
  const replaced: number[] = [];
  const accounted: number[] = [];
  // The loop makes no list of all records: a million may be parked. It can mark records as it goes,
  // because a mark does not change other records.
  for (const { number, state } of journal.records()) {
    const file = journal.doubtfulFor(number);
    if (state === RecordState.WAITING && file !== undefined) {
      recovered.doubtful++;
      void mark(journal, number, RecordState.PARKED, doubtful(file));
    } else if (state === RecordState.BEGAN && retry) {
      recovered.parked++;
      void mark(journal, number, RecordState.PARKED, INTERRUPTED);
    } else if (state === RecordState.BEGAN) {
      recovered.lost++;
      void mark(journal, number, RecordState.GONE);
    } else if (state === RecordState.ACCOUNTED) {
      const id = await readId(journal, number);
      // The disk may be able to read it at the next start.
      if (id === "unreadable") continue;
      if (id === undefined || !isOfBoot(id, bootId)) accounted.push(number);
    } else if (state === RecordState.REPLACED) replaced.push(number);
  }
  recovered.doubtful += await decideOnReplaced(journal, replaced);
  const parkedBefore = await findParkedBefore(journal);
  for (const number of accounted)
    if (!parkedBefore.has(number)) void mark(journal, number, RecordState.GONE);
  const waits = ([number]: [number, number]) => journal.state(number) === RecordState.WAITING;
  recovered.following = new Map([...parkedBefore].filter(waits));
  return recovered;
}

/**
 * Returns, by the number of each report that follows a parked report of its cgroup, the number of
 * the latest such parked report: a retry of that one has to find the later report.
 */
async function findParkedBefore(journal: Journal): Promise<Map<number, number>> {
  const parkedBefore = new Map<number, number>();
  // In the usual case, this saves a pass over the journal.
  if (journal.count(RecordState.PARKED) === 0) return parkedBefore;
  for (const [number, later] of await findLater(journal)) {
    if (journal.state(number) !== RecordState.PARKED) continue;
    // The reports of a cgroup are in the journal in order: the latest parked one is set last.
    for (const each of later) parkedBefore.set(each, number);
  }
  return parkedBefore;
}

/**
 * Decides on records that were to be replaced: if the later record was written, the earlier
 * record goes; otherwise it waits again, or is parked if marks may be lost.
 * @returns the number of records that are parked because of damage
 */
async function decideOnReplaced(journal: Journal, replaced: readonly number[]): Promise<number> {
  if (replaced.length === 0) return 0;
  let parked = 0;
  const ids = new Map<number, string>();
  const unreadable = new Set<number>();
  for (const number of replaced) {
    const id = await readId(journal, number);
    if (id === "unreadable") unreadable.add(number);
    else if (id !== undefined) ids.set(number, id);
  }
  const found = await findByIds(journal, new Set(ids.values()));
  for (const number of replaced) {
    if (unreadable.has(number)) continue;
    const others = found.get(ids.get(number) ?? "") ?? [];
    const isReplaced = others.some((other) => other.number > number);
    const file = journal.doubtfulFor(number);
    if (isReplaced) void mark(journal, number, RecordState.GONE);
    else if (file === undefined) void mark(journal, number, RecordState.WAITING);
    else {
      parked++;
      void mark(journal, number, RecordState.PARKED, doubtful(file));
    }
  }
  return parked;
}

/**
 * Marks a record. The journal retries until the disk takes the mark; if the journal is closed
 * before that, the next start decides.
 */
async function mark(
  journal: Journal,
  number: number,
  state: RecordState,
  note?: string,
): Promise<void> {
  await journal.mark(number, state, note).catch(() => undefined);
}

/**
 * Returns a cgroup's id; undefined if the record is damaged, `"unreadable"` if the disk cannot read
 * it.
 * @throws system errors, but not EIO
 */
async function readId(
  journal: Journal,
  number: number,
): Promise<string | "unreadable" | undefined> {
  try {
    return tryParseRecord((await journal.read(number)).toString())?.snapshot.id;
  } catch (error) {
    if (error instanceof NoRecord) return undefined;
    if (isErrno(error, "EIO")) return "unreadable";
    throw error;
  }
}
