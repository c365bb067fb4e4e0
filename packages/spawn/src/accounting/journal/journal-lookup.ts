/** Finds the records of cgroups in a journal, in one pass over it. */
import { tryParseRecord } from "@cm4all/cgroup";
import type { Journal } from "@cm4all/journal";

/** The fields of a record by which it is compared with a later report of its cgroup. */
export interface FoundRecord {
  readonly number: number;
  readonly report: number;
  readonly cpuTotalUsec: number | undefined;
}

/**
 * The bytes before the id. In JSON they occur only as a key before its value, because a
 * quotation mark in a string is escaped with a backslash; and only the snapshot has this key.
 */
const BEFORE_ID = Buffer.from('"id":"');

/**
 * Returns the records of the cgroups with these ids, oldest first, unless they are gone. Records of
 * other cgroups are skipped without being parsed: there may be a million.
 * @throws system errors of reading
 */
export async function findByIds(
  journal: Journal,
  ids: ReadonlySet<string>,
): Promise<Map<string, FoundRecord[]>> {
  const found = new Map<string, FoundRecord[]>();
  if (ids.size === 0 || journal.live === 0) return found;
  await journal.visit((entry) => {
    if (entry.kind !== "record") return;
    const id = idOf(entry.payload);
    if (id === undefined || !ids.has(id)) return;
    const snapshot = tryParseRecord(entry.payload.toString())?.snapshot;
    if (snapshot === undefined) return;
    const { report, cpuTotalUsec } = snapshot;
    const records = found.get(id) ?? [];
    records.push({ number: entry.number, report, cpuTotalUsec });
    found.set(id, records);
  });
  return found;
}

/** Returns the id of a record's cgroup without parsing the record; undefined if it has none. */
export function idOf(payload: Buffer): string | undefined {
  const start = payload.indexOf(BEFORE_ID);
  if (start < 0) return undefined;
  const end = payload.indexOf('"', start + BEFORE_ID.length);
  return payload.toString("latin1", start + BEFORE_ID.length, end);
}
