/** Seconds since 1970 as days of the Gregorian calendar, and back. Pure. */

export const DAY = 86_400;

/** Like C's `struct tm`, but with years and months as people count them. */
export interface BrokenDownTime {
  year: number;
  /** 1 to 12 */
  month: number;
  day: number;
  hour: number;
  minute: number;
  /** 0 to 59; 60 in a leap second, if the zone counts them. */
  second: number;
  /** 0 is Sunday. */
  weekday: number;
  /** 1 to 366 */
  yearday: number;
  isDst: boolean;
  zone: string;
  /** Seconds east of Greenwich. */
  offset: number;
}

/** The limit of C's `int`, into which the year, counted from 1900, has to fit. */
const YEARS = 2 ** 31;

/** Returns true if a year of the Gregorian calendar has 366 days. */
export function isLeapYear(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

/** Returns the days from 1970-01-01 to the first day of a year. */
export function daysToYear(year: number): number {
  const before = year - 1;
  const leapDays = Math.floor(before / 4) - Math.floor(before / 100) + Math.floor(before / 400);
  return 365 * (year - 1970) + leapDays - 477;
}

const DAYS_BEFORE = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];

/** Returns the number of days in a year before a month (1 to 12), or in the whole year (13). */
export function daysBeforeMonth(year: number, month: number): number {
  return (DAYS_BEFORE[month - 1] ?? 0) + (month > 2 && isLeapYear(year) ? 1 : 0);
}

function yearOfDay(day: number): number {
  let year = 1970 + Math.floor(day / 365.2425);
  while (daysToYear(year) > day) year--;
  while (daysToYear(year + 1) <= day) year++;
  return year;
}

/** Returns the year of a time in UTC. @param seconds since 1970 */
export function yearOf(seconds: number): number {
  return yearOfDay(Math.floor(seconds / DAY));
}

/** Breaks a time down; returns undefined if the year does not fit into C's `int`. */
export function breakDown(
  seconds: number,
  { offset, isDst, abbreviation }: { offset: number; isDst: boolean; abbreviation: string },
): BrokenDownTime | undefined {
  // The remainder is taken first: a double may be unable to hold `seconds + offset` exactly.
  const secondOfDay = modulo(seconds, DAY) + offset;
  const day = Math.floor(seconds / DAY) + Math.floor(secondOfDay / DAY);
  const rest = modulo(secondOfDay, DAY);
  if (!(Math.abs(day) < YEARS * 366)) return undefined;
  const year = yearOfDay(day);
  if (year - 1900 < -YEARS || year - 1900 >= YEARS) return undefined;
  const yearday = day - daysToYear(year);
  let month = 12;
  while (daysBeforeMonth(year, month) > yearday) month--;
  return {
    year,
    month,
    day: yearday - daysBeforeMonth(year, month) + 1,
    hour: Math.floor(rest / 3600),
    minute: Math.floor(rest / 60) % 60,
    second: rest % 60,
    weekday: modulo(day + 4, 7),
    yearday: yearday + 1,
    isDst,
    zone: abbreviation,
    offset,
  };
}

/** Returns the remainder, which is at least 0 and less than the divisor. */
export function modulo(n: number, divisor: number): number {
  return ((n % divisor) + divisor) % divisor;
}
