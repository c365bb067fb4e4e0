import { describe, expect, it } from "vitest";
import type { CgroupNode, CgroupUsage } from "./cgroup.ts";
import { formatBytes, formatCpuTime, formatStatus, toJson } from "./status.ts";

const G = 2 ** 30;

function node(name: string, usage: CgroupUsage, ...children: CgroupNode[]): CgroupNode {
  return { name, usage, children };
}

const tree = node(
  "system-cm4all.slice",
  {
    cpuUsec: 7_384_000_000,
    memoryBytes: 3 * G,
    memoryPeakBytes: 4 * G,
    memoryHighBytes: 6 * G,
    memoryMaxBytes: "infinity",
    swapBytes: 0,
    tasks: 120,
    tasksMax: 20000,
  },
  node("bp-spawn.scope", { cpuUsec: 1_500_000, memoryBytes: G, tasks: 100, tasksMax: "infinity" }),
  node("system-cm4all-web.slice", { cpuUsec: 61_000_000 }, node("evil\x1b[2J\n.scope", {})),
);

describe("formatStatus", () => {
  it("draws the tree, with a dash for a missing value", () => {
    expect(formatStatus(tree, { unicode: true }).join("\n")).toMatchInlineSnapshot(`
      "UNIT                       CPU TIME  MEMORY  PEAK  LIMIT  SWAP  TASKS  LIMIT
      system-cm4all.slice         2h 3min    3.0G  4.0G   6.0G    0B    120  20000
      ├─bp-spawn.scope              1.50s    1.0G     -      -     -    100   none
      └─system-cm4all-web.slice   1min 1s       -     -      -     -      -      -
        └─evil\\x1b[2J\\n.scope           -       -     -      -     -      -      -"
    `);
  });

  it("draws the tree without line-drawing characters", () => {
    const lines = formatStatus(tree, { unicode: false });
    expect(lines.slice(2).map((line) => line.trimStart().split(" ")[0])).toEqual([
      "|-bp-spawn.scope",
      "`-system-cm4all-web.slice",
      "`-evil\\x1b[2J\\n.scope",
    ]);
  });

  it("shows the CPU usage since the previous measurement", () => {
    const before = node(
      "system-cm4all.slice",
      { cpuUsec: 7_383_000_000 },
      node("bp-spawn.scope", { cpuUsec: 1_600_000 }),
    );
    const lines = formatStatus(tree, {
      unicode: false,
      earlier: { tree: before, elapsedUsec: 2_000_000 },
      watching: true,
    });
    const share = lines.map((line) => line.slice(27).trimStart().split(/ {2,}/)[1]);
    // A cgroup with less CPU time than before is another cgroup of the same name.
    expect(share).toEqual(["CPU%", "50.0", "-", "-", "-"]);
  });
});

describe("toJson", () => {
  it("has no key for a missing value", () => {
    expect(JSON.parse(JSON.stringify(toJson(tree)))).toEqual({
      name: "system-cm4all.slice",
      ...tree.usage,
      children: [
        {
          name: "bp-spawn.scope",
          cpuUsec: 1_500_000,
          memoryBytes: G,
          tasks: 100,
          tasksMax: "infinity",
          children: [],
        },
        {
          name: "system-cm4all-web.slice",
          cpuUsec: 61_000_000,
          children: [{ name: "evil\x1b[2J\n.scope", children: [] }],
        },
      ],
    });
  });
});

describe("formatBytes", () => {
  it.each([
    [0, "0B"],
    [1023, "1023B"],
    [1024, "1.0K"],
    [1536, "1.5K"],
    [1024 * 1024 - 1, "1.0M"],
    [1023.9 * 1024, "1023.9K"],
    [12.34 * G, "12.3G"],
    [5 * 1024 * G, "5.0T"],
    [2048 * 1024 * G, "2.0P"],
  ])("%d is %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe("formatCpuTime", () => {
  it.each([
    [0, "0.00s"],
    [1_239_999, "1.23s"],
    [59_999_999, "59.99s"],
    [60_000_000, "1min 0s"],
    [3_599_999_999, "59min 59s"],
    [3_600_000_000, "1h 0min"],
    [86_399_999_999, "23h 59min"],
    [100_800_000_000, "1d 4h"],
  ])("%d us is %s", (usec, text) => {
    expect(formatCpuTime(usec)).toBe(text);
  });
});
