import { describe, expect, it } from "vitest";
import { cgroupOf, isNestedUnit, nestedName, sliceUnit } from "./name.ts";

describe("sliceUnit", () => {
  it.each([
    [undefined, "system-cm4all.slice"],
    ["web", "system-cm4all-web.slice"],
    ["web-customers", "system-cm4all-web-customers.slice"],
    ["my\\x2dweb", "system-cm4all-my\\x2dweb.slice"],
    ["a.b_D1", "system-cm4all-a.b_D1.slice"],
    ["a".repeat(235), `system-cm4all-${"a".repeat(235)}.slice`],
  ])("%s is %s", (name, unit) => {
    expect(sliceUnit(name)).toBe(unit);
    if (name !== undefined) {
      expect(nestedName(unit)).toBe(name);
      expect(isNestedUnit(unit)).toBe(true);
    }
  });

  it.each([
    "",
    "-web",
    "web-",
    "a--b",
    "a/b",
    "../x",
    "a b",
    "a\n[Slice]",
    "web@1",
    "a:b",
    "%n",
    "Büro",
    "a\\",
    "a\\x2",
    "a\\x2D",
    "a".repeat(236),
  ])("refuses %j", (name) => {
    expect(() => sliceUnit(name)).toThrow(JSON.stringify(name));
  });
});

describe("cgroupOf", () => {
  it.each([
    ["system-cm4all.slice", "/system.slice/system-cm4all.slice"],
    [
      "system-cm4all-a-b.slice",
      "/system.slice/system-cm4all.slice/system-cm4all-a.slice/system-cm4all-a-b.slice",
    ],
  ])("%s is %s", (unit, cgroup) => {
    expect(cgroupOf(unit)).toBe(cgroup);
  });
});
