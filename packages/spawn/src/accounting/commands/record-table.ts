/** Formats records of the journal for a terminal. */
import { scriptAttributes } from "@cm4all/cgroup";
import { alignColumns, padEnd, printable, widthOf } from "@cm4all/command";
import { textOf } from "@cm4all/linux";
import { formatReport } from "../../reaper/report.ts";
import type { FoundRecord, RecordCondition, RecordSummary } from "../terms/records.ts";

const TITLES = ["NUMBER", "STATE", "SINCE", "PATH", "REASON"];

/** The text of a cell whose value is not known. */
const UNKNOWN = "-";

/** Formats a table in pages. Only the first page has column titles; columns never get narrower. */
export class RecordTable {
  readonly #widths = TITLES.map(() => 0);
  #isBegun = false;

  /**
   * Returns the lines of a page, below the titles if it is the first page. Columns are at least as
   * wide as in earlier pages.
   */
  lines(page: readonly RecordSummary[]): string[] {
    const rows = page.map((record) => [
      String(record.number),
      record.state,
      formatTime(record.measuredMs),
      pathOf(record),
      reasonOf(record) ?? "",
    ]);
    if (!this.#isBegun) rows.unshift(TITLES);
    this.#isBegun = true;
    for (const [column, width] of this.#widths.entries())
      this.#widths[column] = Math.max(width, ...rows.map((row) => widthOf(row[column] ?? "")));
    // The reason is the last column and needs no padding.
    return rows.map((row) =>
      row
        .map((cell, column) => padEnd(cell, this.#widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    );
  }
}

function pathOf({ path }: RecordSummary): string {
  return path === undefined ? UNKNOWN : printable(textOf(path));
}

function reasonOf({ reason }: RecordSummary): string | undefined {
  return reason === undefined ? undefined : printable(reason);
}

/** Returns the local time in ISO 8601, such as `2026-11-25T14:03:12+01:00`. @param ms since 1970 */
export function formatTime(ms: number | undefined): string {
  if (ms === undefined) return UNKNOWN;
  const offset = -new Date(ms).getTimezoneOffset();
  const local = new Date(ms + offset * 60_000).toISOString().slice(0, "2000-01-01T00:00:00".length);
  const two = (value: number) => String(value).padStart(2, "0");
  const absolute = Math.abs(offset);
  const zone = `${two(Math.floor(absolute / 60))}:${two(absolute % 60)}`;
  return `${local}${offset < 0 ? "-" : "+"}${zone}`;
}

/** Returns the numbers of records in each state, such as `2 wait, 1 is parked`. */
export function formatCounts(counts: ReadonlyMap<RecordCondition, number>): string {
  const texts: Readonly<Record<RecordCondition, readonly [one: string, many: string]>> = {
    waiting: ["waits", "wait"],
    began: ["has begun", "have begun"],
    parked: ["is parked", "are parked"],
  };
  return [...counts]
    .map(([state, count]) => `${count} ${texts[state][count === 1 ? 0 : 1]}`)
    .join(", ");
}

/** Returns a record in one line, with its figures. */
export function formatLine({ summary, record }: FoundRecord): string {
  const path = pathOf(summary);
  const figures = record === undefined ? undefined : formatReport(path, record.snapshot);
  return `record ${summary.number}, ${summary.state}, ${figures ?? path}`;
}

/** Returns all fields of a record in lines, with the names and units that scripts see. */
export function formatRecord({ summary, record }: FoundRecord): string[] {
  const { number, state, id, measuredMs, attempts } = summary;
  const reason = reasonOf(summary);
  const rows = [
    ["record", String(number)],
    ["state", state],
    ...(reason === undefined ? [] : [["reason", reason]]),
    ...(attempts === undefined ? [] : [["attempts", String(attempts)]]),
  ];
  if (record === undefined) return alignColumns(rows);
  rows.push(["since", formatTime(measuredMs)], ["path", pathOf(summary)], ["id", id ?? UNKNOWN]);
  for (const [name, attribute] of scriptAttributes) {
    const value = attribute(record.snapshot);
    if (name !== "id" && value !== undefined) rows.push([name, printable(String(value))]);
  }
  for (const [level, table] of record.xattrs.entries())
    for (const [name, value] of table)
      rows.push([
        `${"parent.".repeat(level)}xattr[${JSON.stringify(printable(textOf(name)))}]`,
        printable(textOf(value)),
      ]);
  return alignColumns(rows);
}
