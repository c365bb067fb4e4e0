/** Finds the later reports of the cgroups that were reported several times. */
import { type CgroupRecord, tryParseRecord } from "@cm4all/cgroup";
import { type Journal, NoRecord, RecordState } from "@cm4all/journal";
import { idOf } from "./journal-lookup.ts";

/**
 * Returns, for each record whose cgroup was reported again, the numbers of the later reports, as
 * far as the journal's records can be read. The later reports may be handed over while this
 * function reads.
 * @param wanted the records to look at; undefined for all but those that wait
 * @throws system errors of reading
 */
export async function findLater(
  journal: Journal,
  wanted?: readonly number[],
): Promise<Map<number, number[]>> {
  const reports = await repeatedReports(journal);
  const found = new Map<number, number[]>();
  // The usual case: few cgroups are reported twice.
  if (reports.size === 0) return found;
  const look = (number: number, payload: Buffer) => {
    // A record of another cgroup need not be parsed.
    const others = reports.get(idOf(payload) ?? "");
    const snapshot = others && tryParseRecord(payload.toString())?.snapshot;
    if (snapshot === undefined) return;
    const later = others?.filter(({ report }) => report > snapshot.report) ?? [];
    const numbers = later.map((each) => each.number);
    if (numbers.length > 0) found.set(number, numbers);
  };
  if (wanted !== undefined) {
    for (const number of wanted) {
      const payload = await tryRead(journal, number);
      if (payload !== undefined) look(number, payload);
    }
    return found;
  }
  await journal.readOn(-1, ({ number, state, payload }) => {
    if (state !== RecordState.WAITING && !(payload instanceof Error)) look(number, payload);
    return true;
  });
  return found;
}

/** Returns undefined if the record is damaged, or has gone while the others were read. */
async function tryRead(journal: Journal, number: number): Promise<Buffer | undefined> {
  try {
    return await journal.read(number);
  } catch (error) {
    if (error instanceof NoRecord) return undefined;
    throw error;
  }
}

interface Report {
  readonly number: number;
  readonly report: number;
}

/** Returns the second and later reports of each cgroup, by its id, whatever their states are. */
async function repeatedReports(journal: Journal): Promise<Map<string, Report[]>> {
  const reports = new Map<string, Report[]>();
  await journal.readOn(-1, ({ number, payload }) => {
    if (payload instanceof Error || isFirst(payload)) return true;
    const record: CgroupRecord | undefined = tryParseRecord(payload.toString());
    if (record === undefined || record.snapshot.report <= 1) return true;
    const { id, report } = record.snapshot;
    const others = reports.get(id);
    if (others === undefined) reports.set(id, [{ number, report }]);
    else others.push({ number, report });
    return true;
  });
  return reports;
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
