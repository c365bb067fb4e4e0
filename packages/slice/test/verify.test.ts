/**
 * systemd-analyze(1) finds nothing wrong with generated units, whatever their settings; and the
 * table of directives agrees with the version of systemd that is installed.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Directive, directives } from "../src/directives.ts";
import { sliceUnit } from "../src/name.ts";
import { addSetting, parseAssignments, type Settings } from "../src/settings.ts";
import { encodeUnit } from "../src/unit.ts";

const number = fc.oneof(fc.nat(12), fc.nat(20000), fc.maxSafeNat());
const decimals = fc.constantFrom("", "", ".5", ".25", ".125");

function joined(separator: string, ...parts: fc.Arbitrary<unknown>[]): fc.Arbitrary<string> {
  return fc.tuple(...parts).map((list) => list.join(separator));
}

function listOf(item: fc.Arbitrary<string>, separator: string): fc.Arbitrary<string> {
  return fc.array(item, { minLength: 1, maxLength: 4 }).map((list) => list.join(separator));
}

/** Values that the grammars allow, and similar ones that are not allowed and are filtered out. */
const near = fc.oneof(
  joined("", number, decimals, fc.constantFrom("", "K", "M", "G", "T", "P", "E", "%")),
  listOf(joined("", number, decimals, fc.constantFrom("us", "ms", "s", " min", "h", "d")), " "),
  listOf(fc.oneof(fc.nat(9000).map(String), joined("-", fc.nat(1100), fc.nat(9000))), ","),
  fc.constantFrom("infinity", "idle", "yes", "no", "on", "0", "auto", "kill", "none", "avoid"),
  fc.constantFrom("omit", "max", "1g", "010", "0x10", "-1", "+1", "1e3", "0.5s", "100%"),
);
const path = fc.oneof(
  fc.constantFrom("/", "/dev/sda", "/var/lib", "/dev/disk/by-label/a\\x20b", "/dev/%i", "/a:b"),
  joined("", fc.constant("/dev/"), fc.string({ unit: "grapheme", minLength: 1 })),
  joined("", fc.constant("/"), fc.string({ unit: "binary-ascii", minLength: 1 })),
);

function isAllowed(name: string, text: string): boolean {
  try {
    addSetting(new Map(), name, text);
    return true;
  } catch {
    return false;
  }
}

function allowedValues({ name, perDevice }: Directive): fc.Arbitrary<string> {
  const value = perDevice ? joined(" ", path, near) : near;
  return value.filter((text) => isAllowed(name, text));
}

const setting = fc
  .constantFrom(...directives)
  .chain((directive) => fc.tuple(fc.constant(directive.name), allowedValues(directive)));

const settings: fc.Arbitrary<Settings> = fc.array(setting, { maxLength: 12 }).map((list) => {
  const map = new Map<string, string[]>();
  for (const [name, text] of list) if (!map.has(name)) addSetting(map, name, text);
  return map;
});

function systemdVersion(): number {
  const { stdout } = spawnSync("systemd-analyze", ["--version"], { encoding: "utf8" });
  return Number(/^systemd (\d+)/.exec(stdout)?.[1]);
}

describe.skipIf(missing("systemd") !== undefined)("systemd-analyze verify", () => {
  let directory: string;
  let version: number;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "slice-verify-"));
    version = systemdVersion();
  });
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  /** Returns the messages of systemd about these units, line by line. */
  function verify(units: ReadonlyMap<string, string>): string[] {
    for (const [unit, text] of units) writeFileSync(join(directory, unit), text);
    const files = [...units.keys()].map((unit) => join(directory, unit));
    const result = spawnSync("systemd-analyze", ["verify", ...files], { encoding: "utf8" });
    for (const file of files) rmSync(file);
    const lines = (result.stdout + result.stderr).split("\n").filter((line) => line !== "");
    expect(result.status, lines.join("\n")).toBe(0);
    return lines;
  }

  /**
   * Returns whether a message is about a directive that this systemd is too old to know. Such a
   * message reports no mistake: a comment in the unit names the version that the directive needs.
   */
  function isNewer(line: string): boolean {
    const name = / Unknown key '(\w+)' in section \[Slice\], ignoring\.$/.exec(line)?.[1];
    return directives.some((directive) => directive.name === name && directive.since > version);
  }

  it("reports nothing about the plain unit", () => {
    expect(verify(new Map([[sliceUnit(), encodeUnit(new Map())]]))).toEqual([]);
  });

  it("reports nothing about random combinations of settings", () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(fc.array(settings, { minLength: 40, maxLength: 40 }), (list) => {
        const units = list.map((map, index): [string, string] => {
          for (const name of map.keys()) seen.add(name);
          const name = index === 0 ? undefined : `a.${index}\\x2d_`;
          return [sliceUnit(name), encodeUnit(map, name)];
        });
        expect(verify(new Map(units)).filter((line) => !isNewer(line))).toEqual([]);
      }),
      { seed: 5, numRuns: 25, endOnFailure: true },
    );
    expect(seen.size).toBe(directives.length);
  });

  it("would notice a mistake", () => {
    const spoiled = encodeUnit(parseAssignments(["MemoryMax=1G"])).replace("1G", "1g");
    expect(verify(new Map([[sliceUnit(), spoiled]]))).toEqual([
      expect.stringContaining("Invalid memory limit '1g'"),
    ]);
  });

  it("knows the directives that the table lists for its version, and no others", () => {
    const unknown = directives.filter((directive) => {
      const [value = ""] = fc.sample(allowedValues(directive), { seed: 6, numRuns: 1 });
      const unit = encodeUnit(parseAssignments([`${directive.name}=${value}`]));
      return verify(new Map([[sliceUnit(), unit]])).length > 0;
    });
    const newer = directives.filter(({ since }) => since > version);
    expect(unknown.map(({ name }) => name)).toEqual(newer.map(({ name }) => name));
  });

  it("reads a device's path as it was typed", () => {
    const unit = encodeUnit(parseAssignments(["IODeviceWeight=/dev/a\\x20b%i 1"]));
    // The path is made invalid, so that systemd prints what it has read.
    const [line] = verify(new Map([[sliceUnit(), unit.replace("/dev/", "/dev/../")]]));
    expect(line).toContain("path is not normalized, ignoring: /dev/../a\\x20b%i");
  });
});
