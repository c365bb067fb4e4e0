import type { CgroupSnapshot } from "@cm4all/cgroup";
import { bytesOfText } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { formatFixed, formatReport } from "./report.ts";

const MEASURED_MS = Date.parse("2025-05-08T14:13:21.900Z");

/** Formats the line. @param ageSeconds undefined for a cgroup without a birth time */
function line(usage: Partial<CgroupSnapshot>, ageSeconds?: number): string | undefined {
  return formatReport("foo/bar", {
    path: bytesOfText("/x/foo/bar"),
    id: "boot-1",
    report: 1,
    measuredMs: MEASURED_MS,
    ...(ageSeconds === undefined ? {} : { birthMs: MEASURED_MS - ageSeconds * 1000 }),
    ...usage,
  });
}

/** Returns the fields after `since=`. */
function fields(usage: Partial<CgroupSnapshot>, ageSeconds: number): string {
  return line(usage, ageSeconds)?.replace(/^foo\/bar: since=\S+ ?/, "") ?? "";
}

describe("formatFixed", () => {
  it.each([
    [0.25, "0.2"],
    [0.75, "0.8"],
    [1.25, "1.2"],
    [2.25, "2.2"],
    [0.35, "0.3"],
    [0.05, "0.1"],
    [1.75, "1.8"],
    [1e9 + 0.25, "1000000000.2"],
    [0, "0.0"],
    [0.95, "0.9"],
    [9.96, "10.0"],
  ])("%d with one decimal is %s", (value, text) => expect(formatFixed(value, 1)).toBe(text));

  it.each([
    [0.5, "0"],
    [1.5, "2"],
    [2.5, "2"],
    [3.5, "4"],
    [100.5, "100"],
    [2.4999, "2"],
    [2.5001, "3"],
  ])("%d without decimals is %s", (value, text) => expect(formatFixed(value, 0)).toBe(text));
});

describe("the log line", () => {
  it("has all fields in their order", () => {
    const usage = {
      birthMs: Date.parse("2025-05-08T14:12:31.900Z"),
      cpuTotalUsec: 1_800_000,
      cpuUserUsec: 1_200_000,
      cpuSystemUsec: 600_000,
      memoryPeakBytes: 536870912,
      memoryEventsHigh: 1,
      memoryEventsMax: 2,
      memoryEventsOom: 1,
      pidsPeak: 4,
      pidsForks: 5,
      pidsEventsMax: 2,
    };
    expect(line(usage)).toBe(
      "foo/bar: since=2025-05-08T14:12:31Z cpu=1.8s/1.2s/0.6s[3%] memory=512M reclaim=3 oom=1 procs=4 forks=5[6.0/m] procs_rejected=2",
    );
  });

  it("is not written if nothing is known", () => {
    expect(line({})).toBeUndefined();
    expect(line({ memoryEventsHigh: 0, memoryEventsOom: 0, pidsEventsMax: 0 })).toBeUndefined();
  });

  it("cpu: a missing user or system time counts as 0, and a missing total is their sum", () => {
    expect(line({ cpuTotalUsec: 5e6 })).toBe("foo/bar: cpu=5.0s");
    expect(line({ cpuTotalUsec: 5e6, cpuUserUsec: 3e6 })).toBe("foo/bar: cpu=5.0s/3.0s/0.0s");
    expect(line({ cpuUserUsec: 3e6, cpuSystemUsec: 1e6 })).toBe("foo/bar: cpu=4.0s/3.0s/1.0s");
    expect(line({ cpuSystemUsec: 0 })).toBe("foo/bar: cpu=0.0s/0.0s/0.0s");
  });

  it("cpu: its percentage of the age is shown, rounded down, if it is at least 1 %", () => {
    expect(fields({ cpuTotalUsec: 1e6 }, 101)).toBe("cpu=1.0s");
    expect(fields({ cpuTotalUsec: 1e6 }, 100)).toBe("cpu=1.0s[1%]");
    expect(fields({ cpuTotalUsec: 3.99e6 }, 1)).toBe("cpu=4.0s[399%]");
    expect(fields({ cpuTotalUsec: 1e6 }, 0)).toBe("cpu=1.0s");
    expect(fields({ cpuTotalUsec: 1e6 }, -5)).toBe("cpu=1.0s");
  });

  it.each([
    [0, 0],
    [524288, 0],
    [524289, 1],
    [1572864, 1],
    [1572865, 2],
    [536870912, 512],
    [5368709120, 5120],
  ])("memory: %d bytes are %dM", (memoryPeakBytes, mebibytes) => {
    expect(line({ memoryPeakBytes })).toBe(`foo/bar: memory=${mebibytes}M`);
  });

  it("reclaim is the sum of high and max, as far as they are known", () => {
    expect(line({ memoryEventsHigh: 2 })).toBe("foo/bar: reclaim=2");
    expect(line({ memoryEventsMax: 3 })).toBe("foo/bar: reclaim=3");
  });

  it("procs and forks are shown even if 0", () => {
    expect(line({ pidsPeak: 0, pidsForks: 0 })).toBe("foo/bar: procs=0 forks=0");
  });

  it("forks have no rate without an age", () => {
    expect(line({ pidsForks: 7 })).toBe("foo/bar: forks=7");
    expect(fields({ pidsForks: 7 }, 0)).toBe("forks=7");
    expect(fields({ pidsForks: 7 }, -5)).toBe("forks=7");
  });

  it("events are shown even if they happened only once", () => {
    const once = { memoryEventsHigh: 1, memoryEventsOom: 1, pidsEventsMax: 1 };
    expect(line(once)).toBe("foo/bar: reclaim=1 oom=1 procs_rejected=1");
  });

  it.each([
    [1, 1, "forks=1[1/s]"],
    [5, 2, "forks=5[2/s]"],
    [201, 2, "forks=201[100/s]"],
    [7, 2, "forks=7[4/s]"],
    [9, 10, "forks=9[54.0/m]"],
    [1, 100, "forks=1[0.6/m]"],
    [1, 101, "forks=1"],
    [1, 48, "forks=1[1.2/m]"],
    [3, 80, "forks=3[2.2/m]"],
  ])("%d forks in %d s: %s", (pidsForks, ageSeconds, text) => {
    expect(fields({ pidsForks }, ageSeconds)).toBe(text);
  });
});
