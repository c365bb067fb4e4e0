/** strftime(3) of the GNU C library in the C locale. Pure. */
import { type BrokenDownTime, isLeapYear, modulo } from "./calendar.ts";

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

/** The flags, width and modifier between `%` and the letter. */
interface Style {
  /** The last of the flags `_`, `-` and `0`; empty if there is none. */
  padding: string;
  upper: boolean;
  /** `#`: names in upper case, other words in lower case. */
  changeCase: boolean;
  width: number;
}

interface Context {
  time: BrokenDownTime;
  /** Returns the seconds that `%s` shows. */
  seconds: (time: BrokenDownTime) => number;
}

const CONVERSION = /%([-_0^#]*)(\d*)([EO]?)([\s\S]?)/y;

/** The letters that cannot have the modifier `E`, and those that cannot have `O`. */
const NOT_WITH: Record<string, string> = { E: "ABDFGHIMSUVWabdeghjklmw", O: "ADFXYacx" };

/**
 * Formats a time. The format ends at its first NUL byte.
 * @param seconds returns the seconds that mktime(3) makes of the fields, for `%s`
 * @param add called with the pieces of the result
 */
export function strftime(
  format: string,
  time: BrokenDownTime,
  seconds: (time: BrokenDownTime) => number,
  add: (piece: string) => void,
): void {
  const context = { time, seconds };
  const end = format.indexOf("\0");
  const text = end === -1 ? format : format.slice(0, end);
  let position = 0;
  while (position < text.length) {
    const percent = text.indexOf("%", position);
    add(text.slice(position, percent === -1 ? text.length : percent));
    if (percent === -1) return;
    CONVERSION.lastIndex = percent;
    const [whole = "%", flags = "", width = "", modifier = "", letter = ""] =
      CONVERSION.exec(text) ?? [];
    position = percent + whole.length;
    const style: Style = {
      padding: /[-_0](?=[^-_0]*$)/.exec(flags)?.[0] ?? "",
      upper: flags.includes("^"),
      changeCase: flags.includes("#"),
      width: Number(width),
    };
    if (style.width > MAX_WIDTH) style.width = MAX_WIDTH;
    const convert = NOT_WITH[modifier]?.includes(letter) ? undefined : conversions[letter];
    // An unknown conversion stays as it is, apart from `^` and the width.
    add(convert?.(context, style) ?? pad(style.upper ? whole.toUpperCase() : whole, style));
  }
}

/** The greatest width of a field; a greater width would only add padding. */
const MAX_WIDTH = 1024 * 1024;

function pad(text: string, { padding, width }: Style): string {
  return text.padStart(width, padding === "0" ? "0" : " ");
}

type Conversion = (context: Context, style: Style) => string;

/** Makes a conversion to a number of at least this many digits. */
function numeric(
  digits: number,
  value: (time: BrokenDownTime, context: Context) => number,
  padding = "0",
): Conversion {
  return (context, style) => {
    const n = value(context.time, context);
    return padNumber(n, digits, { ...style, padding: style.padding || padding });
  };
}

function padNumber(n: number, digits: number, style: Style): string {
  const sign = n < 0 ? "-" : "";
  const text = String(Math.abs(n));
  if (style.padding === "-") return pad(sign + text, style);
  const length = Math.max(digits, style.width);
  if (style.padding === "_") return (sign + text).padStart(length, " ");
  return sign + text.padStart(length - sign.length, "0");
}

/** Makes a conversion to a word that `#` puts in upper case. */
function name(value: (time: BrokenDownTime) => string): Conversion {
  return ({ time }, style) => {
    const text = value(time);
    return pad(style.upper || style.changeCase ? text.toUpperCase() : text, style);
  };
}

/** Makes a conversion to a word that `#` puts in lower case. */
function word(value: (time: BrokenDownTime) => string): Conversion {
  return ({ time }, style) => {
    const text = value(time);
    if (style.changeCase) return pad(text.toLowerCase(), style);
    return pad(style.upper ? text.toUpperCase() : text, style);
  };
}

/** Makes a conversion that is short for a format, as `%D` is for `%m/%d/%y`. */
function composed(format: string): Conversion {
  return ({ time, seconds }, style) => {
    let text = "";
    strftime(format, time, seconds, (piece) => {
      text += piece;
    });
    return pad(style.upper ? text.toUpperCase() : text, style);
  };
}

const character =
  (c: string): Conversion =>
  (_context, style) =>
    pad(c, style);

const hour12 = (hour: number) => hour % 12 || 12;

const conversions: Record<string, Conversion> = {
  "%": character("%"),
  n: character("\n"),
  t: character("\t"),
  a: name((t) => (DAYS[t.weekday] ?? "").slice(0, 3)),
  A: name((t) => DAYS[t.weekday] ?? ""),
  b: name((t) => (MONTHS[t.month - 1] ?? "").slice(0, 3)),
  B: name((t) => MONTHS[t.month - 1] ?? ""),
  h: name((t) => (MONTHS[t.month - 1] ?? "").slice(0, 3)),
  c: composed("%a %b %e %H:%M:%S %Y"),
  C: numeric(1, (t) => Math.floor(t.year / 100)),
  d: numeric(2, (t) => t.day),
  D: composed("%m/%d/%y"),
  e: numeric(2, (t) => t.day, "_"),
  F: composed("%Y-%m-%d"),
  g: numeric(2, (t) => modulo(isoWeek(t).year, 100)),
  G: numeric(1, (t) => isoWeek(t).year),
  H: numeric(2, (t) => t.hour),
  I: numeric(2, (t) => hour12(t.hour)),
  j: numeric(3, (t) => t.yearday),
  k: numeric(2, (t) => t.hour, "_"),
  l: numeric(2, (t) => hour12(t.hour), "_"),
  m: numeric(2, (t) => t.month),
  M: numeric(2, (t) => t.minute),
  p: word((t) => (t.hour < 12 ? "AM" : "PM")),
  P: ({ time }, style) => pad(time.hour < 12 ? "am" : "pm", style),
  r: composed("%I:%M:%S %p"),
  R: composed("%H:%M"),
  s: numeric(1, (t, { seconds }) => seconds(t)),
  S: numeric(2, (t) => t.second),
  T: composed("%H:%M:%S"),
  u: numeric(1, (t) => t.weekday || 7),
  U: numeric(2, (t) => Math.floor((t.yearday + 6 - t.weekday) / 7)),
  V: numeric(2, (t) => isoWeek(t).week),
  w: numeric(1, (t) => t.weekday),
  W: numeric(2, (t) => Math.floor((t.yearday + 6 - ((t.weekday + 6) % 7)) / 7)),
  x: composed("%m/%d/%y"),
  X: composed("%H:%M:%S"),
  y: numeric(2, (t) => modulo(t.year, 100)),
  Y: numeric(1, (t) => t.year),
  z: ({ time }, style) => {
    const minutes = Math.trunc(Math.abs(time.offset) / 60);
    const digits = Math.floor(minutes / 60) * 100 + (minutes % 60);
    const number = padNumber(digits, 4, { ...style, padding: style.padding || "0" });
    return pad(time.offset < 0 ? "-" : "+", style) + number;
  },
  Z: word((t) => t.zone),
};

/** Returns the ISO 8601 week, which belongs to the year that contains its Thursday. */
function isoWeek({ year, yearday, weekday }: BrokenDownTime): { year: number; week: number } {
  const thursday = yearday + 4 - (weekday || 7);
  if (thursday < 1) {
    const days = daysIn(year - 1);
    return { year: year - 1, week: Math.floor((thursday + days - 1) / 7) + 1 };
  }
  if (thursday > daysIn(year)) return { year: year + 1, week: 1 };
  return { year, week: Math.floor((thursday - 1) / 7) + 1 };
}

const daysIn = (year: number) => (isLeapYear(year) ? 366 : 365);
