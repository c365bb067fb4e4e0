/** The time zone of this process, according to TZ and the system's files. @see tzset(3) */
import { readFileSync } from "node:fs";
import { parsePosixRule, wantsRuleFile } from "./posix-rule.ts";
import { parseZoneFile, type ZoneFile } from "./tzif.ts";
import { type Zone, zoneByFile, zoneByRule, zoneByRuleFile } from "./zone.ts";

const LOCALTIME = "/etc/localtime";
const UTC = "UTC0";

const zones = new Map<string, Zone>();

/** Returns the zone that TZ names; TZ is read at each call. */
export function systemZone(): Zone {
  const { TZ: name, TZDIR: directory } = process.env;
  const key = JSON.stringify([name, directory]);
  let zone = zones.get(key);
  if (zone === undefined) {
    zone = readZone(name, directory ?? "/usr/share/zoneinfo");
    zones.set(key, zone);
  }
  return zone;
}

function readZone(name: string | undefined, directory: string): Zone {
  const text = name === "" ? "Universal" : name?.replace(/^:/, "");
  const file = readZoneFile(text === undefined || text === "" ? LOCALTIME : text, directory);
  if (file !== undefined) return zoneByFile(file);
  if (text === undefined || text === "" || text === LOCALTIME)
    return zoneByRule(parsePosixRule(UTC));
  const rule = parsePosixRule(text);
  const days = wantsRuleFile(text) ? readZoneFile("posixrules", directory) : undefined;
  return days === undefined ? zoneByRule(rule) : zoneByRuleFile(days, rule);
}

function readZoneFile(name: string, directory: string): ZoneFile | undefined {
  try {
    return parseZoneFile(readFileSync(name.startsWith("/") ? name : `${directory}/${name}`));
  } catch (error) {
    // There is no readable file of that name; the name may be a rule.
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}
