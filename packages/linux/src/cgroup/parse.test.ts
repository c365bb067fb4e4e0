import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  parseCgroupEvents,
  parseCpuStat,
  parseIoStat,
  parseMemoryEvents,
  parsePidsEventsMax,
  parsePressureSomeUsec,
  parseSingleValue,
} from "./parse.ts";

const fixtures = join(import.meta.dirname, "../../fixtures/cgroup");
const read = (kernel: string, name: string) => readFileSync(join(fixtures, kernel, name), "latin1");

describe("cgroup.events", () => {
  it("tells populated and frozen", () => {
    expect(parseCgroupEvents("populated 0\nfrozen 1\n")).toEqual({
      populated: false,
      frozen: true,
    });
    expect(parseCgroupEvents(read("linux-5.10", "cgroup.events")).populated).toBe(true);
    expect(parseCgroupEvents("").populated).toBeUndefined();
  });
});

describe("cpu.stat", () => {
  it.each(["linux-5.10", "linux-6.1"])("%s", (kernel) => {
    expect(parseCpuStat(read(kernel, "cpu.stat"))).toEqual({
      usageUsec: 1834211,
      userUsec: 1201034,
      systemUsec: 633177,
      throttledUsec: 482917,
    });
  });

  it("tells nothing about throttling without the cpu controller", () => {
    expect(parseCpuStat(read("linux-6.18-without-controllers", "cpu.stat"))).toEqual({
      usageUsec: 1584,
      userUsec: 1584,
      systemUsec: 0,
      throttledUsec: undefined,
    });
  });

  it("takes nothing but plain decimal integers", () => {
    const text = "usage_usec -1\nuser_usec 1.5\nsystem_usec 0x10\nthrottled_usec \n";
    expect(Object.values(parseCpuStat(text))).toEqual(Array(4).fill(undefined));
  });
});

describe("memory.events", () => {
  it("takes oom_kill apart from oom and oom_group_kill", () => {
    expect(parseMemoryEvents(read("linux-6.1", "memory.events"))).toEqual({
      high: 3,
      max: 17,
      oom: 1,
      oomKill: 2,
    });
  });
});

describe("io.stat", () => {
  it("adds up the devices", () => {
    expect(parseIoStat(read("linux-5.10", "io.stat"))).toEqual({
      readBytes: 1459200 + 90430464,
      writeBytes: 314773504 + 299008000,
      reads: 192 + 8950,
      writes: 353 + 1252,
    });
  });

  it("takes devices without figures, and further keys", () => {
    expect(parseIoStat(read("linux-6.1", "io.stat")).readBytes).toBe(4096);
    expect(parseIoStat(read("linux-6.12", "io.stat")).readBytes).toBe(Number.MAX_SAFE_INTEGER);
  });

  it("is zero where no device was used: the file is there", () => {
    expect(parseIoStat("")).toEqual({ readBytes: 0, writeBytes: 0, reads: 0, writes: 0 });
  });
});

describe("single values", () => {
  it("takes an integer, also above 32 bits, and not `max`", () => {
    expect(parseSingleValue(read("linux-6.12", "memory.peak"))).toBe(5368709120);
    expect(parseSingleValue(read("linux-6.12", "memory.swap.peak"))).toBe(0);
    expect(parseSingleValue("max\n")).toBeUndefined();
    expect(parseSingleValue("\n")).toBeUndefined();
    expect(parseSingleValue("")).toBeUndefined();
  });

  it("pids.events", () => {
    expect(parsePidsEventsMax(read("linux-5.10", "pids.events"))).toBe(2);
  });
});

describe("pressure", () => {
  it("takes the total of `some`, with and without a line `full`", () => {
    expect(parsePressureSomeUsec(read("linux-5.10", "cpu.pressure"))).toBe(817264);
    expect(parsePressureSomeUsec(read("linux-6.12", "memory.pressure"))).toBe(1207);
    expect(parsePressureSomeUsec("full avg10=0.00 total=3\n")).toBeUndefined();
  });
});

describe("a file that was cut", () => {
  const parsers: Record<string, (text: string) => unknown> = {
    "cgroup.events": parseCgroupEvents,
    "cpu.stat": parseCpuStat,
    "memory.events": parseMemoryEvents,
    "memory.peak": parseSingleValue,
    "memory.swap.peak": parseSingleValue,
    "pids.peak": parseSingleValue,
    "pids.events": parsePidsEventsMax,
    "io.stat": parseIoStat,
    "cpu.pressure": parsePressureSomeUsec,
    "memory.pressure": parsePressureSomeUsec,
    "io.pressure": parsePressureSomeUsec,
  };

  /** Every number that a result holds. */
  const numbers = (result: unknown): number[] =>
    (result instanceof Object ? Object.values(result) : [result]).filter(
      (value): value is number => typeof value === "number",
    );

  const kernels = readdirSync(fixtures).filter((name) => name !== "README.md");
  for (const kernel of kernels)
    for (const name of readdirSync(join(fixtures, kernel)))
      it(`${kernel} ${name}: gives no number that the whole file does not have`, () => {
        const parse = parsers[name];
        if (parse === undefined) throw new Error(`no parser for ${name}`);
        const text = read(kernel, name);
        // io.stat gives sums: those of the whole lines so far.
        const allowed = new Set(
          [...text.matchAll(/\n/g)].flatMap(({ index }) =>
            numbers(parse(text.slice(0, index + 1))),
          ),
        ).add(0);
        for (let length = 0; length <= text.length; length++)
          for (const value of numbers(parse(text.slice(0, length))))
            expect(allowed, `cut at ${length}`).toContain(value);
      });
});
