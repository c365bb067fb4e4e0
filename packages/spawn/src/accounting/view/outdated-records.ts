/** Finds the records that are outdated, because a later report of their cgroup was handed over. */
import { type CgroupRecord, tryParseRecord } from "@cm4all/cgroup";
import { type Journal, RecordState } from "@cm4all/journal";

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
  const latest = await latestReports(journal);
  const outdated = new Set<number>();
  // The usual case: few cgroups are reported twice.
  if (latest.size === 0) return outdated;
  const look = (number: number, payload: Buffer) => {
    const { id, report = 0 } = tryParseRecord(payload.toString())?.snapshot ?? {};
    if (id !== undefined && report < (latest.get(id) ?? report)) outdated.add(number);
  };
  if (wanted !== undefined) {
    for (const number of wanted) look(number, await journal.read(number));
    return outdated;
  }
  await journal.readOn(-1, ({ number, state, payload }) => {
    if (state !== RecordState.WAITING && !(payload instanceof Error)) look(number, payload);
    return true;
  });
  return outdated;
}

/** Returns, for each cgroup with several reports, the latest report that was handed over. */
async function latestReports(journal: Journal): Promise<Map<string, number>> {
  const latest = new Map<string, number>();
  await journal.readOn(-1, ({ state, payload }) => {
    if (state === RecordState.WAITING || payload instanceof Error || isFirst(payload)) return true;
    const record: CgroupRecord | undefined = tryParseRecord(payload.toString());
    if (record === undefined || record.snapshot.report <= 1) return true;
    const { id, report } = record.snapshot;
    latest.set(id, Math.max(report, latest.get(id) ?? 0));
    return true;
  });
  return latest;
}

/**
 * The bytes of a first report's number. In JSON they occur only as a key with its value, because
 * a quotation mark in a string is escaped with a backslash; and only the snapshot has this key,
 * usually as its last key.
 */
const FIRST_REPORTS = ['"report":1}', '"report":1,'].map((text) => Buffer.from(text));

/** Returns whether a record is a first report, without parsing it: nearly all are. */
function isFirst(payload: Buffer): boolean {
  return FIRST_REPORTS.some((bytes) => payload.includes(bytes));
}
