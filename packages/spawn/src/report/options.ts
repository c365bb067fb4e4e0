/** The options that `cm4all-spawn report` passes to the process that makes the report. Pure. */

const DAY_MS = 86_400_000;

/** The exit status if the database could not be read; other failures have other statuses. */
export const DATABASE_FAILED = 69;

/** The end of a report, which shows that the report is complete. */
export const REPORT_END = "</html>\n";

/** The options of a report. Days are `YYYY-MM-DD` in UTC, as in the bills. */
export interface ReportOptions {
  readonly from: string;
  /** The last day, included. */
  readonly to: string;
  /** Undefined for all customers. */
  readonly customer?: string | undefined;
  /** The maximum number of customers, and of incidents, that have a row of their own. */
  readonly top: number;
  /** The name or URI of the database. @see libpq's connection URIs */
  readonly database: string;
}

/**
 * Returns the text if it is a valid date, or undefined if not. The year 0 is refused, as it is by
 * PostgreSQL.
 */
export function parseDay(text: string): string | undefined {
  if (!/^(?!0000)\d{4}-\d\d-\d\d$/.test(text)) return undefined;
  const time = new Date(`${text}T00:00:00Z`);
  return Number.isNaN(time.getTime()) || formatDay(time) !== text ? undefined : text;
}

/** Returns the day of a time, in UTC. */
export function formatDay(time: Date): string {
  return time.toISOString().slice(0, 10);
}

/** Returns the days from `from` to `to`, both included. */
export function daysBetween(from: string, to: string): string[] {
  const first = timeOf(from);
  return Array.from({ length: countDays(from, to) }, (_, index) =>
    formatDay(new Date(first + index * DAY_MS)),
  );
}

/** Returns how many days there are from `from` to `to`, both included. */
export function countDays(from: string, to: string): number {
  return (timeOf(to) - timeOf(from)) / DAY_MS + 1;
}

function timeOf(day: string): number {
  return Date.parse(`${day}T00:00:00Z`);
}

/** Returns whether this is a connection URI of PostgreSQL. */
export function isDatabaseUri(database: string): boolean {
  return /^postgres(ql)?:\/\//i.test(database);
}

/**
 * Returns whether this is the name or the URI of a database. Other connection strings of libpq, and
 * URIs of other kinds of servers, are refused: PostgreSQL would take them for names, and print them
 * with their passwords.
 */
export function isDatabase(database: string): boolean {
  return isDatabaseUri(database) || !/=|:\/\//.test(database);
}
