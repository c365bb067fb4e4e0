/**
 * A time zone as a rule such as `CET-1CEST,M3.5.0,M10.5.0/3`, which is parsed and applied as in the
 * C library. Pure. @see tzset(3)
 */
import { DAY, daysBeforeMonth, daysToYear, isLeapYear, modulo, yearOf } from "./calendar.ts";

/** The local time that is in force at a moment. */
export interface LocalTimeType {
  /** Seconds east of Greenwich. */
  readonly offset: number;
  readonly isDst: boolean;
  readonly abbreviation: string;
}

/** The day of a year on which the time changes. */
type Day =
  | { kind: "day"; day: number }
  | { kind: "day without February 29th"; day: number }
  | { kind: "weekday"; month: number; week: number; weekday: number };

interface Change {
  day: Day;
  /** Seconds from midnight. */
  time: number;
}

/** One of the two times of a zone, standard time or daylight saving time. */
interface Side extends LocalTimeType {
  /** The change that ends this time; its day and hour are given in this time. */
  change: Change;
}

export interface PosixRule {
  standard: Side;
  daylight: Side;
}

/** A change that cannot be parsed happens at the beginning of the year. */
const YEAR_START: Change = { day: { kind: "day", day: 0 }, time: 0 };
/** The days on which the time changes in the United States; the default for a rule without days. */
const SPRING: Day = { kind: "weekday", month: 3, week: 2, weekday: 0 };
const AUTUMN: Day = { kind: "weekday", month: 11, week: 1, weekday: 0 };
const TWO = 2 * 3600;

const NAME = /(?:<([A-Za-z0-9+-]{3,})>|([A-Za-z]{3,}))/y;
const OFFSET = /([+-]?)(\d+)(?::(\d+)(?::(\d+))?)?/y;
const MONTH_DAY = /M(\d+)\.(\d+)\.(\d+)/y;
const YEAR_DAY = /(J?)(\d+)/y;
const TIME = /\/(-?)(?:(\d+)(?::(\d+)(?::(\d+))?)?)?/y;

/**
 * Parses a rule. As in the C library, a zone that cannot be parsed is UTC, and a change that cannot
 * be parsed happens at the beginning of the year.
 */
export function parsePosixRule(text: string): PosixRule {
  const reader = new Reader(text);
  const rule: PosixRule = {
    standard: { offset: 0, isDst: false, abbreviation: "", change: YEAR_START },
    daylight: { offset: 0, isDst: true, abbreviation: "", change: YEAR_START },
  };
  const name = readName(reader);
  if (name === undefined) return rule;
  rule.standard = { ...rule.standard, abbreviation: name };
  const offset = readOffset(reader);
  if (offset === undefined) return rule;
  rule.standard = { ...rule.standard, offset };
  rule.daylight = { ...rule.daylight, offset, abbreviation: name };
  if (reader.isAtEnd) return rule;
  const other = readName(reader);
  const otherOffset = other === undefined ? 0 : (readOffset(reader) ?? offset + 3600);
  rule.daylight = { ...rule.daylight, offset: otherOffset, abbreviation: other ?? "" };
  const spring = readChange(reader, SPRING);
  if (spring === undefined) return rule;
  rule.standard = { ...rule.standard, change: spring };
  rule.daylight = { ...rule.daylight, change: readChange(reader, AUTUMN) ?? YEAR_START };
  return rule;
}

/**
 * Returns true if the rule has daylight saving time but no days: these then come from the file
 * `posixrules`.
 */
export function wantsRuleFile(text: string): boolean {
  const reader = new Reader(text);
  if (readName(reader) === undefined || readOffset(reader) === undefined) return false;
  if (readName(reader) === undefined) return false;
  readOffset(reader);
  return /^,?$/.test(reader.rest);
}

class Reader {
  readonly #text: string;
  #position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#text.length;
  }

  get rest(): string {
    return this.#text.slice(this.#position);
  }

  take(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#position;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#position = pattern.lastIndex;
    return match;
  }
}

function readName(reader: Reader): string | undefined {
  const match = reader.take(NAME);
  return match === null ? undefined : (match[1] ?? match[2]);
}

/** Reads an offset, which is positive west of Greenwich in a rule. @returns seconds east of it */
function readOffset(reader: Reader): number | undefined {
  const match = reader.take(OFFSET);
  if (match === null) return undefined;
  const [, sign, hours = "0", minutes = "0", seconds = "0"] = match;
  const size =
    Math.min(Number(hours), 24) * 3600 +
    Math.min(Number(minutes), 59) * 60 +
    Math.min(Number(seconds), 59);
  return sign === "-" ? size : -size || 0;
}

/** Reads a change; returns undefined if the day cannot be parsed. */
function readChange(reader: Reader, otherwise: Day): Change | undefined {
  reader.take(/,/y);
  if (reader.isAtEnd) return { day: otherwise, time: TWO };
  const day = readDay(reader);
  if (day === undefined) return undefined;
  const match = reader.take(TIME);
  if (match === null) return { day, time: TWO };
  const [, sign, hours = "2", minutes = "0", seconds = "0"] = match;
  const time = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  return { day, time: sign === "-" ? -time : time };
}

function readDay(reader: Reader): Day | undefined {
  const inMonth = reader.take(MONTH_DAY);
  if (inMonth !== null) {
    const [month, week, weekday] = inMonth.slice(1).map(Number);
    if (month === undefined || week === undefined || weekday === undefined) return undefined;
    const isPossible = month >= 1 && month <= 12 && week >= 1 && week <= 5 && weekday <= 6;
    return isPossible ? { kind: "weekday", month, week, weekday } : undefined;
  }
  const inYear = reader.take(YEAR_DAY);
  if (inYear === null) return undefined;
  const day = Number(inYear[2]);
  if (day > 365 || (inYear[1] === "J" && day === 0)) return undefined;
  return { kind: inYear[1] === "J" ? "day without February 29th" : "day", day };
}

/** Returns which of the two times of a rule is in force. @param seconds since 1970 */
export function localTimeTypeByRule(
  { standard, daylight }: PosixRule,
  seconds: number,
): LocalTimeType {
  // The C library uses the changes of 1970 for all earlier years.
  const year = Math.max(yearOf(seconds), 1970);
  const begin = changeIn(year, standard);
  const end = changeIn(year, daylight);
  // In the southern hemisphere, daylight saving time ends in the year after it began.
  const isDst = begin > end ? seconds < end || seconds >= begin : seconds >= begin && seconds < end;
  return isDst ? daylight : standard;
}

/** Returns when this side ends, and the other one begins, in seconds since 1970. */
function changeIn(year: number, { change, offset }: Side): number {
  return dayIn(year, change.day) * DAY - offset + change.time;
}

function dayIn(year: number, day: Day): number {
  const start = daysToYear(year);
  switch (day.kind) {
    case "day":
      return start + day.day;
    case "day without February 29th":
      return start + day.day - 1 + (day.day >= 60 && isLeapYear(year) ? 1 : 0);
    case "weekday": {
      const first = start + daysBeforeMonth(year, day.month);
      const length = daysBeforeMonth(year, day.month + 1) - daysBeforeMonth(year, day.month);
      let inMonth = modulo(day.weekday - (first + 4), 7);
      for (let week = 1; week < day.week && inMonth + 7 < length; week++) inMonth += 7;
      return first + inMonth;
    }
  }
}
