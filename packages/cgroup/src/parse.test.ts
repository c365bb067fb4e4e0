import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  parseCpuTotalUsec,
  parseFlatKeyed,
  parseIoStat,
  parsePopulated,
  parsePressureSomeUsec,
  parseSingleValue,
} from "./parse.ts";

const fixtures = join(import.meta.dirname, "../fixtures");
const read = (kernel: string, name: string) => readFileSync(join(fixtures, kernel, name), "latin1");

describe("cgroup.events", () => {
  it("shows whether the cgroup is populated", () => {
    expect(parsePopulated("populated 0\nfrozen 1\n")).toBe(false);
    expect(parsePopulated("frozen 0\npopulated 1\n")).toBe(true);
    expect(parsePopulated(read("linux-5.10", "cgroup.events"))).toBe(true);
    expect(parsePopulated("")).toBeUndefined();
  });
});

describe("parsing a flat keyed file", () => {
  it.each(["linux-5.10", "linux-6.1"])("gives the figures in cpu.stat of %s", (kernel) => {
    const values = parseFlatKeyed(read(kernel, "cpu.stat"));
    expect(values.get("usage_usec")).toBe(1834211);
    expect(values.get("user_usec")).toBe(1201034);
    expect(values.get("system_usec")).toBe(633177);
    expect(values.get("throttled_usec")).toBe(482917);
  });

  it("gives no throttled time without the cpu controller", () => {
    const values = parseFlatKeyed(read("linux-6.18-without-controllers", "cpu.stat"));
    expect(values.get("usage_usec")).toBe(1584);
    expect(values.get("system_usec")).toBe(0);
    expect(values.get("throttled_usec")).toBeUndefined();
  });

  it("leaves out values that are not plain decimal integers", () => {
    const text = "usage_usec -1\nuser_usec 1.5\nsystem_usec 0x10\nthrottled_usec \n";
    expect(parseFlatKeyed(text).size).toBe(0);
  });

  it("distinguishes oom_kill from oom and oom_group_kill", () => {
    const values = parseFlatKeyed(read("linux-6.1", "memory.events"));
    expect(["high", "max", "oom", "oom_kill"].map((key) => values.get(key))).toEqual([3, 17, 1, 2]);
  });

  it("gives the figure in pids.events", () => {
    expect(parseFlatKeyed(read("linux-5.10", "pids.events")).get("max")).toBe(2);
  });
});

describe("parsing only the CPU time", () => {
  it("gives the same value as parsing the whole file", () => {
    const text = read("linux-6.12", "cpu.stat");
    expect(parseCpuTotalUsec(text)).toBe(parseFlatKeyed(text).get("usage_usec"));
    expect(parseCpuTotalUsec("user_usec 1\nusage_usec 2\n")).toBe(2);
    expect(parseCpuTotalUsec("usage_usec 2")).toBeUndefined();
    expect(parseCpuTotalUsec("")).toBeUndefined();
  });
});

describe("parsing io.stat", () => {
  it("adds up the devices", () => {
    expect(Object.fromEntries(parseIoStat(read("linux-5.10", "io.stat")))).toEqual({
      rbytes: 1459200 + 90430464,
      wbytes: 314773504 + 299008000,
      rios: 192 + 8950,
      wios: 353 + 1252,
    });
  });

  it("accepts devices without figures, and further keys", () => {
    expect(parseIoStat(read("linux-6.1", "io.stat")).get("rbytes")).toBe(4096);
    expect(parseIoStat(read("linux-6.12", "io.stat")).get("rbytes")).toBe(Number.MAX_SAFE_INTEGER);
  });

  it("gives zeros instead of nothing if no device was used", () => {
    expect([...parseIoStat("").values()]).toEqual([0, 0, 0, 0]);
  });
});

describe("single values", () => {
  it("may be integers of more than 32 bits, but not `max`", () => {
    expect(parseSingleValue(read("linux-6.12", "memory.peak"))).toBe(5368709120);
    expect(parseSingleValue(read("linux-6.12", "memory.swap.peak"))).toBe(0);
    expect(parseSingleValue("max\n")).toBeUndefined();
    expect(parseSingleValue("\n")).toBeUndefined();
    expect(parseSingleValue("")).toBeUndefined();
  });
});

describe("pressure", () => {
  it("is the total of `some`, with or without a line `full`", () => {
    expect(parsePressureSomeUsec(read("linux-5.10", "cpu.pressure"))).toBe(817264);
    expect(parsePressureSomeUsec(read("linux-6.12", "memory.pressure"))).toBe(1207);
    expect(parsePressureSomeUsec("full avg10=0.00 total=3\n")).toBeUndefined();
  });
});

describe("a truncated file", () => {
  const parsers: Record<string, (text: string) => unknown> = {
    "cgroup.events": parsePopulated,
    "cpu.stat": parseFlatKeyed,
    "memory.events": parseFlatKeyed,
    "memory.peak": parseSingleValue,
    "memory.swap.peak": parseSingleValue,
    "pids.peak": parseSingleValue,
    "pids.events": parseFlatKeyed,
    "io.stat": parseIoStat,
    "cpu.pressure": parsePressureSomeUsec,
    "memory.pressure": parsePressureSomeUsec,
    "io.pressure": parsePressureSomeUsec,
  };

  /** Returns every number in a result. */
  const numbers = (result: unknown): number[] =>
    (result instanceof Map
      ? [...result.values()]
      : result instanceof Object
        ? Object.values(result)
        : [result]
    ).filter((value): value is number => typeof value === "number");

  const kernels = readdirSync(fixtures).filter((name) => name !== "README.md");
  for (const kernel of kernels)
    for (const name of readdirSync(join(fixtures, kernel)))
      it(`${kernel} ${name}: yields only numbers of complete lines`, () => {
        const parse = parsers[name];
        if (parse === undefined) throw new Error(`no parser for ${name}`);
        const text = read(kernel, name);
        // For io.stat, the numbers are sums: the sums of the complete lines so far are allowed.
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

describe("what has an unknown form", () => {
  it("is ignored: a line, or a field of io.stat", () => {
    expect(Object.fromEntries(parseFlatKeyed("5\n 6\na 7 8\nb 9\n"))).toEqual({ b: 9 });
    expect(parseIoStat("8:0 rbytes=1=2 wbytes rios=3\n").get("rbytes")).toBe(0);
    expect(parseIoStat("8:0 rbytes=1=2 wbytes rios=3\n").get("rios")).toBe(3);
  });
});
