/** What `cm4all-spawn report` tells the process that makes the report. Pure. */

const DAY_MS = 86_400_000;

/** How a process ends that could not read the database; other failures have other statuses. */
export const DATABASE_FAILED = 69;

/** Days are `YYYY-MM-DD`, in UTC, as the bills have them. */
export interface ReportOptions {
  readonly from: string;
  /** The last day, which belongs to it. */
  readonly to: string;
  /** All if undefined. */
  readonly customer?: string | undefined;
  /** How many customers, and how many of their days at limits, have a row of their own. */
  readonly top: number;
  /** A name, or a URI. @see libpq's connection URIs */
  readonly database: string;
}

/**
 * Returns a day as it is written, or undefined if there is none of this date. The calendar has no
 * year 0, which PostgreSQL refuses.
 */
export function parseDay(text: string): string | undefined {
  if (!/^(?!0000)\d{4}-\d\d-\d\d$/.test(text)) return undefined;
  const time = new Date(`${text}T00:00:00Z`);
  return Number.isNaN(time.getTime()) || formatDay(time) !== text ? undefined : text;
}

/** Returns the day of a time. */
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

/** Whether this is a URI of PostgreSQL, of which the server takes its part. */
export function isDatabaseUri(database: string): boolean {
  return /^postgres(ql)?:\/\//i.test(database);
}

/**
 * Whether this names a database, or is a URI of one. Connection strings of libpq and URIs of other
 * servers are taken for names by PostgreSQL, which would tell them with their passwords.
 */
export function isDatabase(database: string): boolean {
  return isDatabaseUri(database) || !/=|:\/\//.test(database);
}
