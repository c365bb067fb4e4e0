import { describe, expect, it } from "vitest";
import { parseOwnCgroup } from "./own-cgroup.ts";

describe("parseOwnCgroup", () => {
  it.each([
    ["0::/system.slice/cm4all-spawn.service\n", "/system.slice/cm4all-spawn.service"],
    ["0::/\n", "/"],
    ["12:cpu:/a\n1:name=systemd:/b\n0::/c d:e\n", "/c d:e"],
    ["0::/../outside\n", "/../outside"],
    ["12:cpu:/a\n1:name=systemd:/b\n", undefined],
    ["10::/x\n", undefined],
    ["", undefined],
  ])("of %j is %j", (text, expected) => {
    expect(parseOwnCgroup(text)).toBe(expected);
  });
});
