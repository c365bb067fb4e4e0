/**
 * Converts a date and a time of day to seconds since 1970, as mktime(3) of the C library does. Like
 * the C library, it remembers the last UTC offset.
 */

import type { BrokenDownTime } from "./calendar.ts";
import { DAY, daysBeforeMonth, daysToYear, modulo } from "./calendar.ts";
import type { Zone } from "./zone.ts";

/** Any whole numbers: month 14 is February of the following year. */
export interface DateFields {
  year: number;
  /** Counts from 1. */
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  /** True for daylight saving time; undefined if the zone decides. */
  isDst: boolean | undefined;
}

const MAX_PROBES = 6;
/**
 * The step, in seconds, of the search for the nearest time with the wanted `isDst`: no period with
 * an unchanged `isDst` was ever shorter.
 */
const STRIDE = 601_200;
/**
 * The distance, in seconds, at which the search ends: more than half of the longest period with an
 * unchanged `isDst`.
 */
const REACH = 457_243_209 / 2 + STRIDE;

/**
 * The offset that the last call found, in seconds west of Greenwich. As in the C library, the
 * search begins with this offset, which thereby decides between the two answers for a time that
 * clocks show twice.
 */
let lastOffset = 0;

/** Returns the seconds since 1970 of a local date; undefined if C cannot express the time. */
export function localSeconds(zone: Zone, fields: DateFields): number | undefined {
  const second = Math.min(Math.max(fields.second, 0), 59);
  const wanted = asIfUniversal({ ...fields, second });
  let t = wanted + lastOffset;
  let time = zone.local(t);
  let previous = t;
  let beforeThat = t;
  let previousIsDst = false;
  for (let probe = 0; ; probe++) {
    if (time === undefined) return undefined;
    const next = t + difference(wanted, time);
    if (next === t) break;
    // For a time that clocks skip in spring, the search alternates between two answers.
    if (t === beforeThat && t !== previous && isPreferred(fields.isDst, previousIsDst, time)) {
      return found(fields, second, time, t, wanted);
    }
    if (probe === MAX_PROBES) return undefined;
    beforeThat = previous;
    previous = t;
    t = next;
    previousIsDst = time.isDst;
    time = zone.local(t);
  }
  if (fields.isDst !== undefined && fields.isDst !== time.isDst) {
    const other = neighbour(zone, t, fields.isDst, wanted);
    // If no time within reach has the wanted `isDst`, daylight saving time is taken to be an hour
    // ahead of standard time, as nearly everywhere.
    t = other ?? t + (fields.isDst ? -3600 : 3600);
    time = zone.local(t);
    if (time === undefined) return undefined;
  }
  return found(fields, second, time, t, wanted);
}

function isPreferred(
  isDst: boolean | undefined,
  previousIsDst: boolean,
  time: BrokenDownTime,
): boolean {
  return isDst === undefined ? Number(previousIsDst) <= Number(time.isDst) : isDst !== time.isDst;
}

/**
 * Finds the time nearest to `t` that has this `isDst`, and returns when a clock with the UTC offset
 * of that time shows `wanted`; undefined if no time within reach has this `isDst`.
 */
function neighbour(zone: Zone, t: number, isDst: boolean, wanted: number): number | undefined {
  for (let distance = STRIDE; distance < REACH; distance += STRIDE) {
    for (const probe of [t - distance, t + distance]) {
      const time = zone.local(probe);
      if (time?.isDst === isDst) return probe + difference(wanted, time);
    }
  }
  return undefined;
}

function found(
  fields: DateFields,
  second: number,
  time: BrokenDownTime,
  t: number,
  wanted: number,
): number {
  lastOffset = t - wanted;
  if (fields.second === time.second) return t;
  const isLeapSecond = second === 0 && time.second === 60;
  return t + Number(isLeapSecond) - second + fields.second;
}

/** Returns the seconds by which `wanted` is later than `time`. */
function difference(wanted: number, time: BrokenDownTime): number {
  return wanted - asIfUniversal(time);
}

function asIfUniversal({
  year,
  month,
  day,
  hour,
  minute,
  second,
}: Omit<DateFields, "isDst">): number {
  const years = year + Math.floor((month - 1) / 12);
  const days = daysToYear(years) + daysBeforeMonth(years, modulo(month - 1, 12) + 1) + day - 1;
  return days * DAY + hour * 3600 + minute * 60 + second;
}
