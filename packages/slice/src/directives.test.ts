import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { directives, findDirective, OLDEST_SYSTEMD, parseValue } from "./directives.ts";

const parse = (name: string, text: string) => parseValue(findDirective(name), text);

describe("parseValue", () => {
  it.each([
    ["CPUWeight", "1"],
    ["CPUWeight", "10000"],
    ["StartupCPUWeight", "idle"],
    ["CPUQuota", "0.01%"],
    ["CPUQuota", "250%"],
    ["CPUQuota", "21474836.47%"],
    ["CPUQuotaPeriodSec", "1ms"],
    ["CPUQuotaPeriodSec", "1s"],
    ["CPUQuotaPeriodSec", "0.5"],
    ["CPUQuotaPeriodSec", "1ms 500us"],
    ["AllowedCPUs", "0-3,8"],
    ["AllowedCPUs", "8191"],
    ["StartupAllowedMemoryNodes", "0-1023"],
    ["MemoryMin", "0"],
    ["MemoryLow", "0%"],
    ["MemoryMax", "1"],
    ["MemoryMax", "1073741824"],
    ["MemoryMax", "1.5G"],
    ["MemoryMax", "512B"],
    ["MemorySwapMax", "0B"],
    ["MemoryMax", "7.999E"],
    ["MemoryMax", "10.55%"],
    ["MemoryMax", "infinity"],
    ["MemorySwapMax", "0"],
    ["MemorySwapMax", "20%"],
    ["MemoryZSwapMax", "512M"],
    ["TasksMax", "1"],
    ["TasksMax", "4194304"],
    ["TasksMax", "10%"],
    ["TasksMax", "infinity"],
    ["IOWeight", "500"],
    ["IODeviceWeight", "/dev/sda 200"],
    ["IOReadBandwidthMax", "/dev/disk/by-path/pci-0000:00:1f.2-scsi-0:0:0:0 5M"],
    ["IOWriteIOPSMax", "/ 1.5K"],
    ["IODeviceLatencyTargetSec", "/dev/nvme0n1 25ms"],
    ["IODeviceLatencyTargetSec", "/dev/nvme0n1 1min 30s"],
    ["ManagedOOMSwap", "kill"],
    ["ManagedOOMMemoryPressure", "auto"],
    ["ManagedOOMMemoryPressureLimit", "0%"],
    ["ManagedOOMMemoryPressureLimit", "100%"],
    ["ManagedOOMMemoryPressureDurationSec", "1s"],
    ["ManagedOOMPreference", "omit"],
  ])("takes %s=%s as it is", (name, text) => {
    expect(parse(name, text)).toBe(text);
  });

  it.each([
    ["MemoryAccounting", "on", "yes"],
    ["IOAccounting", "0", "no"],
    ["AllowedCPUs", "0 2-4,  9", "0,2-4,9"],
    // udev writes a space in a label as \x20; systemd reads two backslashes as one.
    ["IODeviceWeight", "/dev/disk/by-label/a\\x20b 1", "/dev/disk/by-label/a\\\\x20b 1"],
    // systemd expands %n and other specifiers.
    ["IODeviceWeight", "/dev/%n 1", "/dev/%%n 1"],
    ["IODeviceWeight", "/dev/sda   1", "/dev/sda 1"],
  ])("writes %s=%s as %s", (name, text, written) => {
    expect(parse(name, text)).toBe(written);
  });

  it.each([
    ["CPUWeight", "0"],
    ["CPUWeight", "10001"],
    ["CPUWeight", "010"],
    ["CPUWeight", "0x10"],
    ["CPUWeight", "1.5"],
    ["CPUWeight", "-1"],
    ["CPUWeight", "Idle"],
    ["IOWeight", "idle"],
    ["CPUQuota", "0%"],
    ["CPUQuota", "20"],
    ["CPUQuota", "12.345%"],
    ["CPUQuota", "21474836.48%"],
    ["CPUQuotaPeriodSec", "999us"],
    ["CPUQuotaPeriodSec", "1001ms"],
    ["CPUQuotaPeriodSec", "infinity"],
    ["CPUQuotaPeriodSec", "100 ms 3"],
    ["AllowedCPUs", ""],
    ["AllowedCPUs", "3-1"],
    ["AllowedCPUs", "8192"],
    ["AllowedCPUs", "1-2-3"],
    ["AllowedCPUs", "1,"],
    ["AllowedCPUs", "08"],
    ["AllowedMemoryNodes", "1024"],
    ["MemoryMax", "0"],
    ["MemoryMax", "0%"],
    ["MemoryMax", "101%"],
    ["MemoryMax", "1g"],
    ["MemoryMax", "1GB"],
    ["MemoryMax", "1 G"],
    ["MemoryMax", "1.5"],
    ["MemoryMax", "0.0001K"],
    ["MemoryMax", "8E"],
    ["MemoryMax", "9223372036854775807"],
    ["MemoryMax", "Infinity"],
    ["MemoryMax", ""],
    ["DefaultStartupMemoryLow", "0"],
    ["MemoryZSwapMax", "10%"],
    ["TasksMax", "0"],
    ["TasksMax", "0%"],
    ["TasksMax", "10K"],
    ["TasksMax", "4194305"],
    ["IODeviceWeight", "sda 100"],
    ["IODeviceWeight", "/dev/sda"],
    ["IODeviceWeight", "/dev/../sda 100"],
    ["IODeviceWeight", "/dev//sda 100"],
    ["IODeviceWeight", '"/dev/s a" 100'],
    ["IODeviceWeight", "/dev/s\u00a0a 100"],
    ["IODeviceWeight", `/dev/${"a".repeat(256)} 100`],
    ["IODeviceWeight", `${"/aaaaaaaaaaaaaaa".repeat(256)} 100`],
    ["IOReadBandwidthMax", "/dev/sda 0"],
    ["IOReadBandwidthMax", "/dev/sda 10%"],
    ["IODeviceLatencyTargetSec", "/dev/sda 0"],
    ["IODeviceLatencyTargetSec", "/dev/sda 0.5us"],
    ["ManagedOOMSwap", "Kill"],
    ["ManagedOOMMemoryPressureLimit", "100.01%"],
    ["ManagedOOMMemoryPressureDurationSec", "999ms"],
    ["ManagedOOMPreference", "auto"],
    ["MemoryAccounting", "maybe"],
  ])("refuses %s=%s", (name, text) => {
    expect(() => parse(name, text)).toThrow(`${name}: ${JSON.stringify(text)} is not allowed; use`);
  });

  it("says what is allowed", () => {
    expect(() => parse("CPUWeight", "0")).toThrow(
      'CPUWeight: "0" is not allowed; use an integer from 1 to 10000, or idle',
    );
  });

  it("refuses a line break, or any other control character, in every value", () => {
    const base = fc.constantFrom(
      "1",
      "1G",
      "10%",
      "5ms",
      "yes",
      "kill",
      "0-3",
      "/dev/sda 1",
      "omit",
    );
    const control = fc.constantFrom("\n", "\r", "\0", "\t", "\x1b", "\x7f", "\u0085");
    fc.assert(
      fc.property(fc.constantFrom(...directives), base, control, fc.nat(), (d, text, c, at) => {
        const position = at % (text.length + 1);
        const spoiled = text.slice(0, position) + c + text.slice(position);
        expect(() => parseValue(d, spoiled)).toThrow(d.name);
      }),
      { seed: 1, numRuns: 2000 },
    );
  });

  it("never accepts a value that would start another line or continue on the next one", () => {
    const word = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.stringMatching(/^[0-9.KMGE%a-z/ ,\\"'-]{1,12}$/),
    );
    fc.assert(
      fc.property(fc.constantFrom(...directives), word, (directive, text) => {
        let value: string;
        try {
          value = parseValue(directive, text);
        } catch {
          return;
        }
        expect(value).toMatch(/^\P{Cc}+$/u);
        expect(value).not.toMatch(/(^|[^\\])(\\\\)*\\$/);
      }),
      { seed: 2, numRuns: 20000 },
    );
  });
});

describe("findDirective", () => {
  it("suggests the right spelling of a name", () => {
    expect(() => findDirective("memorymax")).toThrow("did you mean MemoryMax?");
  });

  it("refuses an unknown name, and shows its control characters as escapes", () => {
    expect(() => findDirective("ExecStart")).toThrow("ExecStart: not a known directive");
    expect(() => findDirective("CPUAccounting")).toThrow("not a known directive");
    expect(() => findDirective("MemoryMax\nExecStart")).toThrow('"MemoryMax\\nExecStart": not');
    expect(() => findDirective("__proto__")).toThrow("not a known directive");
  });

  it("finds at most one directive for a name", () => {
    expect(new Set(directives.map(({ name }) => name)).size).toBe(directives.length);
  });
});

describe("slice.toml(5)", () => {
  it("lists the directives that an older systemd does not know", () => {
    const page = readFileSync(new URL("../../../docs/man/slice.toml.5", import.meta.url), "utf8");
    const listed = [...page.matchAll(/^\.TP\nsystemd (\d+)\n((?:\.BR? \w+.*\n)+)/gm)].flatMap(
      ([, since, lines = ""]) =>
        [...lines.matchAll(/^\.BR? (\w+)/gm)].map(([, name]) => `${name} ${since}`),
    );
    const newer = directives.filter(({ since }) => since > OLDEST_SYSTEMD);
    expect(listed.sort()).toEqual(newer.map(({ name, since }) => `${name} ${since}`).sort());
  });
});
