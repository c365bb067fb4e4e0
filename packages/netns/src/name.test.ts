import { describe, expect, it } from "vitest";
import { nameProblem } from "./name.ts";

describe("nameProblem", () => {
  it.each(["web", "a", "x23456789012345", "web.1", "web-1_2", "-web", "...", "w@b", "é"])(
    "accepts %j",
    (name) => {
      expect(nameProblem(name)).toBeUndefined();
    },
  );

  it.each([
    ["", "the name is empty"],
    ["x234567890123456", "the name is 16 bytes long; at most 15 are allowed"],
    ["éééééééé", "the name is 16 bytes long; at most 15 are allowed"],
    [".", "the name is that of a directory"],
    ["..", "the name is that of a directory"],
    ["a/b", 'the name contains "/"'],
    ["a:b", 'the name contains ":"'],
    ["a%d", 'the name contains "%"'],
    ["a b", "the name contains white space"],
    ["a\tb", "the name contains white space"],
    ["a\u00a0b", "the name contains white space"],
    ["à", "the name contains white space"],
    ["a\u0001", "the name contains a control character"],
    ["a\u007f", "the name contains a control character"],
    ["a\ufffd", "the name is not UTF-8"],
  ])("refuses %j: %s", (name, problem) => {
    expect(nameProblem(name)).toBe(problem);
  });
});
