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

it("puts as many words on a line as fit", () => {
  expect(wrapText("ab cd ef", 8)).toEqual(["ab cd ef"]);
  expect(wrapText("ab cd ef", 7)).toEqual(["ab cd", "ef"]);
  expect(wrapText("ab cd ef", 4)).toEqual(["ab", "cd", "ef"]);
  expect(wrapText("", 4)).toEqual([""]);
});

it("breaks a word that is too long for a line, and goes on behind its last part", () => {
  expect(wrapText("abcdefgh ij kl", 3)).toEqual(["abc", "def", "gh", "ij", "kl"]);
  expect(wrapText("abcdefgh ij kl", 5)).toEqual(["abcde", "fgh", "ij kl"]);
  expect(wrapText("abcdefgh ij kl", 6)).toEqual(["abcdef", "gh ij", "kl"]);
  expect(wrapText("x abcdef ij", 3)).toEqual(["x", "abc", "def", "ij"]);
  expect(wrapText("abc", 3)).toEqual(["abc"]);
});

it("does not break text if the output is no terminal, and has a column even in the narrowest", () => {
  const text = "word ".repeat(1000).trim();
  expect(wrapRows([["name", text]], undefined)).toEqual([`name  ${text}`]);
  expect(wrapRows([["name", "ab c"]], 3)).toEqual(["name  a", "      b", "      c"]);
});

it("aligns all columns to the left by default, and further columns like the last one", () => {
  const rows = [
    ["a", "b", "c", "d"],
    ["aa", "bb", "cc", "dd"],
  ];
  expect(alignColumns(rows)).toEqual(["a   b   c   d", "aa  bb  cc  dd"]);
  expect(alignColumns(rows, ["left", "left", "right"])).toEqual([
    "a   b    c   d",
    "aa  bb  cc  dd",
  ]);
});
