import { spawn } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { textOf } from "@cm4all/linux";
import { missing, ScratchCgroup } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CgroupReader, tryFindCgroup2 } from "../src/index.ts";

const complaints: string[] = [];
const reader = new CgroupReader((name) => complaints.push(name));

function measure(path: string) {
  const fd = openSync(path, "r");
  try {
    return { usage: reader.read(fd), used: reader.wasUsed(fd) };
  } finally {
    closeSync(fd);
  }
}

describe("reading a directory that looks like a cgroup with all controllers", () => {
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "cgroup-"));
    const files = {
      "cpu.stat": "usage_usec 3\nuser_usec 2\nsystem_usec 1\nthrottled_usec 4\n",
      "memory.peak": "5\n",
      "memory.swap.peak": "6\n",
      "memory.events": "low 0\nhigh 7\nmax 8\noom 9\noom_kill 10\n",
      "pids.peak": "11\n",
      "pids.forks": "12\n",
      "pids.events": "max 13\n",
      "io.stat": "8:0 rbytes=14 wbytes=15 rios=16 wios=17\n",
      "cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=18\n",
      "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=19\n",
      "io.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=20\n",
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  it("gives every figure", () => {
    expect(measure(directory)).toEqual({
      used: true,
      usage: {
        cpuTotalUsec: 3,
        cpuUserUsec: 2,
        cpuSystemUsec: 1,
        cpuThrottledUsec: 4,
        memoryPeakBytes: 5,
        memorySwapPeakBytes: 6,
        memoryEventsHigh: 7,
        memoryEventsMax: 8,
        memoryEventsOom: 9,
        memoryEventsOomKill: 10,
        pidsPeak: 11,
        pidsForks: 12,
        pidsEventsMax: 13,
        ioReadBytes: 14,
        ioWriteBytes: 15,
        ioReads: 16,
        ioWrites: 17,
        cpuPressureUsec: 18,
        memoryPressureUsec: 19,
        ioPressureUsec: 20,
      },
    });
  });

  it("gives undefined for a missing file, and the value again once the file is back", () => {
    rmSync(join(directory, "pids.peak"));
    expect(measure(directory).usage.pidsPeak).toBeUndefined();
    expect(measure(directory).usage.pidsPeak).toBeUndefined();
    writeFileSync(join(directory, "pids.peak"), "21\n");
    expect(measure(directory).usage.pidsPeak).toBe(21);
    expect(complaints).toEqual([]);
  });

  it("reports an existing file that cannot be read, and goes on", () => {
    rmSync(join(directory, "memory.peak"));
    mkdirSync(join(directory, "memory.peak"));
    const { usage } = measure(directory);
    expect(usage.memoryPeakBytes).toBeUndefined();
    expect(usage.memorySwapPeakBytes).toBe(6);
    expect(complaints).toEqual(["memory.peak"]);
  });

  it("throws instead of returning only some figures if no more files can be opened", async () => {
    const fd = openSync(directory, "r");
    const canOpen = () => {
      try {
        closeSync(openSync("/dev/null", "r"));
        return true;
      } catch {
        return false;
      }
    };
    const soft = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1];
    const limit = (files: string) => `prlimit --pid ${process.pid} --nofile=${files}:`;
    const child = spawn("sh", ["-c", `${limit("8")}; read _; ${limit(soft ?? "")}`]);
    try {
      while (canOpen()) await delay(1);
      expect(() => reader.read(fd)).toThrow("EMFILE");
      expect(() => reader.wasUsed(fd)).toThrow("EMFILE");
    } finally {
      child.stdin.end("\n");
      while (!canOpen()) await delay(1);
      closeSync(fd);
    }
  });
});

describe.skipIf(missing("root", "cgroup2") !== undefined)("a real cgroup", () => {
  let scratch: ScratchCgroup;
  beforeAll(() => {
    scratch = new ScratchCgroup();
  });
  afterAll(() => scratch.remove());

  it("is below the mount point in mountinfo", () => {
    const mount = tryFindCgroup2();
    if (mount === undefined) throw new Error("no mount of cgroup2 was found");
    expect(scratch.path.startsWith(`${textOf(mount)}/`)).toBe(true);
  });

  it("counts as unused when it is new, and as used after a process has run in it", async () => {
    const path = scratch.make("a");
    expect(measure(path).used).toBe(false);
    await scratch.runToEnd("a", "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done");
    const { usage, used } = measure(path);
    expect(used).toBe(true);
    expect(usage.cpuTotalUsec).toBeGreaterThan(0);
  });

  it("has no figures once it has been removed, even if its directory is still open", () => {
    const fd = openSync(scratch.make("b"), "r");
    try {
      scratch.removeEmpty("b");
      expect(Object.values(reader.read(fd)).every((value) => value === undefined)).toBe(true);
      expect(reader.wasUsed(fd)).toBe(false);
    } finally {
      closeSync(fd);
    }
  });
});
