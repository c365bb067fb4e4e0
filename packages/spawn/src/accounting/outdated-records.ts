/** Records of cgroups of which a later report was handed over. */
import { tryParseRecord } from "@cm4all/cgroup";
import { type Journal, RecordState } from "@cm4all/journal";

/** Why they are not handed over again. */
export const OUTDATED =
  "is not handed over again: a later report of its cgroup was handed over, which includes its figures";

/**
 * Returns those of the records that are outdated, as far as the journal knows.
 * @throws system errors of reading
 */
export async function findOutdated(
  journal: Journal,
  numbers: readonly number[],
): Promise<number[]> {
  const wanted = new Set(numbers);
  const own: { readonly number: number; readonly id: string; readonly report: number }[] = [];
  const latest = new Map<string, number>();
  await visitHandedOver(journal, (number, id, report) => {
    if (!wanted.has(number)) return;
    own.push({ number, id, report });
    latest.set(id, Math.max(report, latest.get(id) ?? 0));
  });
  await visitHandedOver(journal, (_, id, report) => {
    const known = latest.get(id);
    if (known !== undefined && report > known) latest.set(id, report);
  });
  return own.flatMap(({ number, id, report }) =>
    report < (latest.get(id) ?? report) ? [number] : [],
  );
}

async function visitHandedOver(
  journal: Journal,
  visit: (number: number, id: string, report: number) => void,
): Promise<void> {
  await journal.visit((entry) => {
    if (entry.kind !== "record" || entry.state === RecordState.WAITING) return;
    const record = tryParseRecord(entry.payload.toString());
    if (record !== undefined) visit(entry.number, record.snapshot.id, record.snapshot.report);
  });
}
