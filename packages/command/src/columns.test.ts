import { expect, it } from "vitest";
import { alignColumns, wrapRows, wrapText } from "./columns.ts";

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

it("aligns columns by what a terminal shows", () => {
  const rows = [
    ["日本.scope", "1"],
    ["e\u0301te\u0301", "12"],
    ["😀", "123"],
  ];
  expect(alignColumns(rows, ["left", "right"])).toEqual([
    "日本.scope    1",
    "e\u0301te\u0301          12",
    "😀          123",
  ]);
  expect(
    wrapRows(
      [
        ["日", "ab cd"],
        ["a", "b"],
      ],
      6,
    ),
  ).toEqual(["日  ab", "    cd", "a   b"]);
});

it("breaks wide text, also where a character does not fit", () => {
  expect(wrapText("日本語 ab", 5)).toEqual(["日本", "語 ab"]);
  expect(wrapText("日本", 1)).toEqual(["日", "本"]);
});
