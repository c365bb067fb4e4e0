/** strftime(3) in the C locale, on a broken-down time. Pure. */

export interface BrokenDownTime {
  year: number;
  /** 1 to 12 */
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  /** 0 is Sunday. */
  weekday: number;
  /** 1 to 366 */
  yearday: number;
  isDst: boolean;
  zone: string;
  /** East of Greenwich. */
  offsetMinutes: number;
  epochSeconds: number;
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

export function breakDown(epochSeconds: number, utc: boolean): BrokenDownTime {
  const date = new Date(epochSeconds * 1000);
  const offsetMinutes = utc ? 0 : -date.getTimezoneOffset();
  // The fields of local time are those of UTC, shifted.
  const shifted = new Date(date.getTime() + offsetMinutes * 60_000);
  const year = shifted.getUTCFullYear();
  const startOfYear = Date.UTC(year, 0, 1);
  return {
    year,
    month: shifted.getUTCMonth() + 1,
    day: shifted.getUTCDate(),
    hour: shifted.getUTCHours(),
    minute: shifted.getUTCMinutes(),
    second: shifted.getUTCSeconds(),
    weekday: shifted.getUTCDay(),
    yearday: Math.floor((shifted.getTime() - startOfYear) / 86_400_000) + 1,
    isDst: !utc && offsetMinutes > standardOffset(year),
    zone: utc ? "GMT" : zoneName(date),
    offsetMinutes,
    epochSeconds,
  };
}

/** The offset without daylight saving time: the smaller one of winter and summer. */
function standardOffset(year: number): number {
  const january = -new Date(year, 0, 1).getTimezoneOffset();
  const july = -new Date(year, 6, 1).getTimezoneOffset();
  return Math.min(january, july);
}

function zoneName(date: Date): string {
  const part = new Intl.DateTimeFormat("en-US", { timeZoneName: "short" })
    .formatToParts(date)
    .find(({ type }) => type === "timeZoneName");
  return part?.value ?? "";
}

/** Unknown conversions are dropped, as LuaJIT's buffer does with them. */
export function strftime(format: string, time: BrokenDownTime): string {
  return format.replace(/%[EO]?([\s\S]?)/g, (_whole, letter: string) => {
    return conversions[letter]?.(time) ?? (letter === "" ? "%" : "");
  });
}

const two = (n: number) => String(n).padStart(2, "0");
const blank = (n: number) => String(n).padStart(2, " ");
const hour12 = ({ hour }: BrokenDownTime) => hour % 12 || 12;

const conversions: Record<string, (time: BrokenDownTime) => string> = {
  "%": () => "%",
  n: () => "\n",
  t: () => "\t",
  a: (t) => (DAYS[t.weekday] ?? "").slice(0, 3),
  A: (t) => DAYS[t.weekday] ?? "",
  b: (t) => (MONTHS[t.month - 1] ?? "").slice(0, 3),
  B: (t) => MONTHS[t.month - 1] ?? "",
  h: (t) => (MONTHS[t.month - 1] ?? "").slice(0, 3),
  c: (t) => strftime("%a %b %e %H:%M:%S %Y", t),
  C: (t) => two(Math.floor(t.year / 100)),
  d: (t) => two(t.day),
  D: (t) => strftime("%m/%d/%y", t),
  e: (t) => blank(t.day),
  F: (t) => strftime("%Y-%m-%d", t),
  g: (t) => two(isoWeek(t).year % 100),
  G: (t) => String(isoWeek(t).year),
  H: (t) => two(t.hour),
  I: (t) => two(hour12(t)),
  j: (t) => String(t.yearday).padStart(3, "0"),
  k: (t) => blank(t.hour),
  l: (t) => blank(hour12(t)),
  m: (t) => two(t.month),
  M: (t) => two(t.minute),
  p: (t) => (t.hour < 12 ? "AM" : "PM"),
  P: (t) => (t.hour < 12 ? "am" : "pm"),
  r: (t) => strftime("%I:%M:%S %p", t),
  R: (t) => strftime("%H:%M", t),
  s: (t) => String(Math.floor(t.epochSeconds)),
  S: (t) => two(t.second),
  T: (t) => strftime("%H:%M:%S", t),
  u: (t) => String(t.weekday || 7),
  U: (t) => two(Math.floor((t.yearday + 6 - t.weekday) / 7)),
  V: (t) => two(isoWeek(t).week),
  w: (t) => String(t.weekday),
  W: (t) => two(Math.floor((t.yearday + 6 - ((t.weekday + 6) % 7)) / 7)),
  x: (t) => strftime("%m/%d/%y", t),
  X: (t) => strftime("%H:%M:%S", t),
  y: (t) => two(t.year % 100),
  Y: (t) => String(t.year),
  z: (t) => {
    const minutes = Math.abs(t.offsetMinutes);
    const sign = t.offsetMinutes < 0 ? "-" : "+";
    return `${sign}${two(Math.floor(minutes / 60))}${two(minutes % 60)}`;
  },
  Z: (t) => t.zone,
};

/** ISO 8601: the week belongs to the year that has its Thursday. */
function isoWeek({ year, yearday, weekday }: BrokenDownTime): { year: number; week: number } {
  const thursday = yearday + 4 - (weekday || 7);
  if (thursday < 1) {
    const days = daysIn(year - 1);
    return { year: year - 1, week: Math.floor((thursday + days - 1) / 7) + 1 };
  }
  if (thursday > daysIn(year)) return { year: year + 1, week: 1 };
  return { year, week: Math.floor((thursday - 1) / 7) + 1 };
}

function daysIn(year: number): number {
  return (Date.UTC(year + 1, 0, 1) - Date.UTC(year, 0, 1)) / 86_400_000;
}
