import { expect, it } from "vitest";
import { alignColumns } from "./columns.ts";

it("aligns names to the left and figures to the right", () => {
  const rows = [
    ["cgroup", "CPU", "processes"],
    ["/a", "0.5 s", "1"],
    ["/longer", "-", "12"],
  ];
  expect(alignColumns(rows, ["left", "right"])).toEqual([
    "cgroup     CPU  processes",
    "/a       0.5 s          1",
    "/longer      -         12",
  ]);
});

it("accepts rows of different lengths, and leaves no blanks at the end", () => {
  expect(alignColumns([["a", "b"], ["longer"], []])).toEqual(["a       b", "longer", ""]);
  expect(alignColumns([])).toEqual([]);
});
