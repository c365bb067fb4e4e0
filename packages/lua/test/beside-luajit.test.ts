/** A sample of the comparisons in ../differential: random expressions, and times in time zones. */
import { missing } from "@cm4all/testing";
import { describe, expect, it } from "vitest";
import { compareCases } from "../differential/compare.ts";
import { compareZones, systemZones } from "../differential/zones.ts";

/** Values of TZ, valid and invalid. */
const RULES = [
  "CET-1CEST,M3.5.0,M10.5.0/3",
  "AEST-10AEDT,M10.1.0,M4.1.0/3",
  "<+03>-3",
  "ABC-24DEF-25,J60/3,J300/-2",
  "ABC+3DEF+2:30,M1.1.1/24,M12.5.6/-1:30",
  "ABC3DEF,0/0,J365/25",
  "ABC3DEF,x",
  "CET-1CEST",
  "foo",
  "A3",
  "",
  ":/etc/localtime",
  ":Europe/Berlin",
  "/usr/share/zoneinfo/Asia/Tokyo",
  "no/such/zone",
];

describe.skipIf(missing("luajit") !== undefined)("compared with LuaJIT,", () => {
  it("at least 98 of 100 random expressions give the same results", { timeout: 120_000 }, () => {
    const all = compareCases(3000, 1);
    const differing = all.filter(({ luajit, ours }) => luajit !== ours);
    expect(differing.length, JSON.stringify(differing.slice(0, 40), null, 1)).toBeLessThanOrEqual(
      all.length * 0.02,
    );
  });

  it("local times in named zones and by POSIX rules are the same", { timeout: 120_000 }, () => {
    const zones = systemZones().filter((_, i) => i % 30 === 0);
    expect(zones.length).toBeGreaterThan(10);
    expect(compareZones([...zones, ...RULES], 40, 3)).toEqual([]);
  });
});
