import { describe, expect, it } from "vitest";
import { inOneLine, printable, printableLines } from "./printable.ts";

const CASES: readonly [text: string, expected: string][] = [
  ["plain text, \u{e4} and \u{1f600}", "plain text, \u{e4} and \u{1f600}"],
  ["\u{1b}[31mred\u{7}\0", "\\x1b[31mred\\x07\\x00"],
  ["\u{7f}\u{9b}2J\u{85}", "\\x7f\\x9b2J\\x85"],
  ["all is well\r", "all is well\\x0d"],
  ["\u{202e}gpj.exe\u{2069}\u{61c}\u{200f}", "\\u{202e}gpj.exe\\u{2069}\\u{61c}\\u{200f}"],
  ["two\u{2028}lines", "two\\u{2028}lines"],
  ["", ""],
];

describe("printable", () => {
  it.each([...CASES, ["two\nlines\t", "two\\nlines\\x09"]])(
    "makes one line of %j",
    (text, expected) => {
      expect(printable(text)).toBe(expected);
    },
  );
});

describe("printableLines", () => {
  it.each([...CASES, ["two\n\tlines", "two\n\tlines"]])(
    "keeps the lines of %j",
    (text, expected) => {
      expect(printableLines(text)).toBe(expected);
    },
  );
});

describe("inOneLine", () => {
  it.each([
    ["boom", undefined, "boom"],
    ["boom", "stack traceback:\n\t[C]: in ?\n", "boom | stack traceback: | [C]: in ?"],
    ["ERROR: x\r\nDETAIL:\ty\u{1b}", undefined, "ERROR: x | DETAIL: y\\x1b"],
  ])("joins the message %j and the traceback %j", (message, traceback, expected) => {
    expect(inOneLine(message, traceback)).toBe(expected);
  });
});
