import { describe, expect, it } from "vitest";
import { inOneLine, printable } from "./log.ts";

describe("printable", () => {
  it.each([
    ["plain text, \u{e4} and \u{1f600}", "plain text, \u{e4} and \u{1f600}"],
    ["two\nlines", "two\\nlines"],
    ["\u{1b}[31mred\u{7}\t\0", "\\x1b[31mred\\x07\\x09\\x00"],
    ["\u{7f}\u{9b}2J\u{85}", "\\x7f\\x9b2J\\x85"],
    ["", ""],
  ])("makes one line of %j", (text, expected) => {
    expect(printable(text)).toBe(expected);
  });
});

describe("inOneLine", () => {
  it.each([
    ["boom", undefined, "boom"],
    ["boom", "stack traceback:\n\t[C]: in ?\n", "boom | stack traceback: | [C]: in ?"],
    ["ERROR: x\nDETAIL:\ty", undefined, "ERROR: x | DETAIL: y"],
  ])("%j %j", (message, traceback, expected) => {
    expect(inOneLine(message, traceback)).toBe(expected);
  });
});
