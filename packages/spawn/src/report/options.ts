/** What `cm4all-spawn report` tells the process that makes the report. Pure. */

/** Days are `YYYY-MM-DD`, in UTC, as the bills have them. */
export interface ReportOptions {
  readonly from: string;
  /** The last day, which belongs to it. */
  readonly to: string;
  /** All if undefined. */
  readonly customer?: string | undefined;
  /** A name, or a URI. @see libpq's connection URIs */
  readonly database: string;
}

/** Returns a day as it is written, or undefined if there is none of this date. */
export function parseDay(text: string): string | undefined {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return undefined;
  const time = new Date(`${text}T00:00:00Z`);
  return Number.isNaN(time.getTime()) || formatDay(time) !== text ? undefined : text;
}

/** Returns the day of a time. */
export function formatDay(time: Date): string {
  return time.toISOString().slice(0, 10);
}

/** Returns the days from `from` to `to`, both included. */
export function daysBetween(from: string, to: string): string[] {
  const days: string[] = [];
  const day = new Date(`${from}T00:00:00Z`);
  for (; formatDay(day) <= to; day.setUTCDate(day.getUTCDate() + 1)) days.push(formatDay(day));
  return days;
}
