/** Records of cgroups of which a later report was handed over. */
import { type CgroupRecord, tryParseRecord } from "@cm4all/cgroup";
import { type Journal, RecordState } from "@cm4all/journal";

/** Why they are not handed over again. */
export const OUTDATED =
  "is not handed over again: a later report of its cgroup was handed over, which includes its figures";

/**
 * Returns those of the records that are outdated, as far as the journal knows.
 * @param wanted undefined for all that are not to be handed over anyway
 * @throws system errors of reading
 */
export async function findOutdated(
  journal: Journal,
  wanted?: readonly number[],
): Promise<Set<number>> {
  const latest = await latestReports(journal);
  const outdated = new Set<number>();
  // As nearly always: few cgroups are reported twice.
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

/** Returns the latest report of each cgroup of which more than the first was handed over. */
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
 * In JSON these bytes stand nowhere but before a value: in a string there would be a
 * backslash before each quotation mark. And only the snapshot has such a key, mostly as its last.
 */
const FIRST_REPORTS = ['"report":1}', '"report":1,'].map((text) => Buffer.from(text));

/** Nearly all are: they need not be parsed. */
function isFirst(payload: Buffer): boolean {
  return FIRST_REPORTS.some((bytes) => payload.includes(bytes));
}
