import { describe, expect, it } from "vitest";
import { parseConfig } from "./config.ts";

describe("parseConfig", () => {
  it("reads the slice and those nested in it", () => {
    const config = parseConfig(
      `MemoryHigh = "75%"
TasksMax = 20000
IOAccounting = true
IOReadBandwidthMax = ["/dev/sda 50M", "/dev/sdb 10M"]

[slice.web]
CPUWeight = 200
MemoryZSwapWriteback = false

[slice."my\\\\x2dweb"]
CPUWeight = "idle"
`,
      "slice.toml",
    );
    expect(config.settings).toEqual(
      new Map([
        ["MemoryHigh", ["75%"]],
        ["TasksMax", ["20000"]],
        ["IOAccounting", ["yes"]],
        ["IOReadBandwidthMax", ["/dev/sda 50M", "/dev/sdb 10M"]],
      ]),
    );
    expect([...config.nested]).toEqual([
      [
        "web",
        new Map([
          ["CPUWeight", ["200"]],
          ["MemoryZSwapWriteback", ["no"]],
        ]),
      ],
      ["my\\x2dweb", new Map([["CPUWeight", ["idle"]]])],
    ]);
  });

  it("is empty for an empty file", () => {
    expect(parseConfig("", "slice.toml")).toEqual({ settings: new Map(), nested: new Map() });
  });

  it.each([
    ["\nMemoryMax = '1g'\n", 'slice.toml:2: MemoryMax: "1g" is not allowed; use a number of bytes'],
    ["MemoryMax = '''1G\nExecStart=x'''\n", 'MemoryMax: "1G\\nExecStart=x" is not allowed'],
    [
      "memorymax = '1G'\n",
      "slice.toml:1: memorymax: not a known directive for slices; did you mean MemoryMax?",
    ],
    ["TasksMax = 1.5\n", "slice.toml:1: TasksMax: expected a string or an integer, found a float"],
    ["TasksMax = -1\n", 'slice.toml:1: TasksMax: "-1" is not allowed'],
    ["MemoryMax = 9007199254740993\n", "slice.toml:1: MemoryMax: too large for an integer"],
    [
      "IOAccounting = 'yes'\n",
      "slice.toml:1: IOAccounting: expected true or false, found a string",
    ],
    [
      "IODeviceWeight = '/dev/sda 1'\n",
      "slice.toml:1: IODeviceWeight: expected an array of strings",
    ],
    [
      "IODeviceWeight = ['/dev/sda 1', '/dev/sda 2']\n",
      "slice.toml:1: IODeviceWeight: /dev/sda is given twice",
    ],
    ["slice = 1\n", "slice.toml:1: slice: expected a table, found an integer"],
    ["[slice.'a b']\n", 'slice.toml:1: "a b" is not a name for a slice'],
    ["[slice.web]\n\nTasksMax = 'x'\n", 'slice.toml:3: slice.web.TasksMax: "x" is not allowed'],
    ["[slice.web.more]\nTasksMax = 1\n", "slice.toml:1: slice.web.more: not a known directive"],
    ["slice.web = 3\n", "slice.toml:1: slice.web: expected a table"],
  ])("refuses %j", (text, message) => {
    expect(() => parseConfig(text, "slice.toml")).toThrow(message);
  });
});
