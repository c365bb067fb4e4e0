/** Local time by a zone file or by a rule, as in the C library. Pure. */
import { type BrokenDownTime, breakDown } from "./calendar.ts";
import {
  type LocalTimeType,
  localTimeTypeByRule,
  type PosixRule,
  parsePosixRule,
} from "./posix-rule.ts";
import type { ZoneFile } from "./tzif.ts";

export interface Zone {
  /** Returns undefined if the year does not fit into C's `int`. */
  local(seconds: number): BrokenDownTime | undefined;
  universal(seconds: number): BrokenDownTime | undefined;
}

const UNIVERSAL: LocalTimeType = { offset: 0, isDst: false, abbreviation: "GMT" };

/** Returns the zone of a value of `TZ` that is a rule. @see tzset(3) */
export function zoneByRule(rule: PosixRule): Zone {
  return {
    local: (seconds) => breakDown(seconds, localTimeTypeByRule(rule, seconds)),
    universal: (seconds) => breakDown(seconds, UNIVERSAL),
  };
}

/** Returns the zone of a file of the time zone database. @see RFC 8536 */
export function zoneByFile(file: ZoneFile): Zone {
  const footer = file.footer === "" ? undefined : parsePosixRule(file.footer);
  return {
    local: (seconds) => breakDownWithLeaps(file, seconds, typeAt(file, footer, seconds)),
    universal: (seconds) => breakDownWithLeaps(file, seconds, UNIVERSAL),
  };
}

function typeAt(file: ZoneFile, footer: PosixRule | undefined, seconds: number): LocalTimeType {
  const { transitions, types } = file;
  const [first] = transitions;
  const last = transitions.at(-1);
  if (first === undefined || last === undefined || seconds < first.time) {
    // A file without transitions may have a rule in its footer, which then applies to all times.
    if (first === undefined && footer !== undefined) return localTimeTypeByRule(footer, seconds);
    return types.find(({ isDst }) => !isDst) ?? types[0] ?? UNIVERSAL;
  }
  if (seconds >= last.time) {
    if (footer !== undefined) return localTimeTypeByRule(footer, seconds);
    return types[last.type] ?? UNIVERSAL;
  }
  let low = 0;
  let high = transitions.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((transitions[middle]?.time ?? 0) <= seconds) low = middle;
    else high = middle;
  }
  return types[transitions[low]?.type ?? 0] ?? UNIVERSAL;
}

/**
 * Breaks a time down according to a zone file. Zone files in the directory `right` count leap
 * seconds.
 */
function breakDownWithLeaps(
  { leapSeconds }: ZoneFile,
  seconds: number,
  type: LocalTimeType,
): BrokenDownTime | undefined {
  let i = leapSeconds.length - 1;
  while (i >= 0 && seconds < (leapSeconds[i]?.time ?? 0)) i--;
  const leap = leapSeconds[i];
  if (leap === undefined) return breakDown(seconds, type);
  const time = breakDown(seconds - leap.correction, type);
  const isWithin = seconds === leap.time && leap.correction > (leapSeconds[i - 1]?.correction ?? 0);
  return time !== undefined && isWithin ? { ...time, second: time.second + 1 } : time;
}

/**
 * Returns the zone of a rule such as `CET-1CEST`, which does not say when daylight saving time
 * begins and ends: the transitions are those of the file `posixrules`, the names and offsets those
 * of the rule.
 */
export function zoneByRuleFile(file: ZoneFile, rule: PosixRule): Zone {
  const ofFile = (isDst: boolean) =>
    file.types[
      file.transitions.findLast(({ type }) => file.types[type]?.isDst === isDst)?.type ?? -1
    ]?.offset ?? 0;
  const shifts = {
    standard: rule.standard.offset - ofFile(false),
    daylight: rule.daylight.offset - ofFile(true),
  };
  let isDst = false;
  const transitions = file.transitions.map(({ time, type }) => {
    const flavor = file.types[type];
    const shift =
      flavor?.isInUniversalTime === true
        ? 0
        : isDst && flavor?.isInStandardTime === false
          ? shifts.daylight
          : shifts.standard;
    isDst = flavor?.isDst === true;
    return { time: time - shift, type: Number(isDst) };
  });
  const flags = { isInStandardTime: false, isInUniversalTime: false };
  const types = [
    { ...rule.standard, ...flags },
    { ...rule.daylight, ...flags },
  ];
  return zoneByFile({ ...file, transitions, types });
}
