/** Compares local time in LuaJIT and in our interpreter, in the system's time zones. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseZoneFile } from "../src/compat/time/tzif.ts";
import { checkText } from "../src/lua.ts";
import { printedByLuajit, printedByUs, sequence } from "./side-by-side.ts";

const DIRECTORY = "/usr/share/zoneinfo";
const program = join(import.meta.dirname, "../differential/zones.lua");

/** Returns the names of all zone files of the system. */
export function systemZones(): string[] {
  return readdirSync(DIRECTORY, { recursive: true, encoding: "utf8" })
    .filter((name) => isZone(name))
    .sort();
}

function isZone(name: string): boolean {
  try {
    return parseZoneFile(readFileSync(join(DIRECTORY, name))) !== undefined;
  } catch (error) {
    // This is a directory.
    if (error instanceof Error && "code" in error) return false;
    throw error;
  }
}

/** Returns times from 1605 to 2683, most from 1900 to 2106 or near a transition of the zone. */
function randomTimes(zone: string, count: number, random: () => number): number[] {
  const changes = zone.includes(",") ? [] : transitionTimes(zone);
  return Array.from({ length: count }, () => {
    const kind = random();
    const change = changes[Math.floor(random() * changes.length)];
    if (kind < 0.4 && change !== undefined) return change + Math.floor((random() - 0.5) * 20_000);
    if (kind < 0.9) return Math.floor(random() * 6.5e9) - 2.2e9;
    return Math.floor(random() * 3.4e10) - 1.15e10;
  });
}

function transitionTimes(zone: string): number[] {
  try {
    const file = parseZoneFile(readFileSync(join(DIRECTORY, zone)));
    return file?.transitions.map(({ time }) => time).filter((time) => time > -1.2e10) ?? [];
  } catch {
    // The zone is not a file but a rule, such as CET-1CEST.
    return [];
  }
}

export interface ZoneDifference {
  zone: string;
  luajit: string;
  ours: string;
}

/** Returns the first difference in each zone that has any. */
export function compareZones(
  zones: readonly string[],
  times: number,
  seed: number,
): ZoneDifference[] {
  const random = sequence(seed);
  const directory = mkdtempSync(join(tmpdir(), "lua-zones-"));
  try {
    const input = join(directory, "times");
    const lines = zones.flatMap((zone) => [
      `Z ${zone}`,
      ...randomTimes(zone, times, random).map((time) => `T ${time}`),
    ]);
    writeFileSync(input, `${lines.join("\n")}\n`);
    const expected = printedByLuajit(program, input).split("\n");
    const got = here(input).split("\n");
    return zones.flatMap((zone, i) => {
      for (let n = i * times; n < (i + 1) * times; n++) {
        const [luajit = "", ours = ""] = [expected[n], got[n]];
        if (luajit !== ours) return [{ zone, luajit, ours }];
      }
      return [];
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function here(input: string): string {
  const { TZ } = process.env;
  try {
    return printedByUs(program, [input], {
      setzone: (L) => {
        process.env["TZ"] = checkText(L, 1);
        return 0;
      },
    });
  } finally {
    if (TZ === undefined) delete process.env["TZ"];
    else process.env["TZ"] = TZ;
  }
}
