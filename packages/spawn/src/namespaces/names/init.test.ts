import { describe, expect, it } from "vitest";
import { tryParseInitName } from "./init.ts";

const STATUS = "Name:\tcatatonit\nNStgid:\t4711\t1\nNSpid:\t4711\t1\nNSpgid:\t4711\t1\n";

describe("tryParseInitName", () => {
  it.each(["foo", "two words", "-P", "init x", " ", "\x7f", "x".repeat(255)])(
    "finds the name %j",
    (name) => {
      expect(tryParseInitName(`init ${name}\0-P\0`, STATUS)).toBe(name);
    },
  );

  it.each([
    ["a zombie", ""],
    ["another program", "/usr/bin/catatonit\0-P\0"],
    ["another option", "init foo\0-g\0"],
    ["a missing option", "init foo\0"],
    ["another title", "Init foo\0-P\0"],
  ])("is not misled by %s", (_, cmdline) => {
    expect(tryParseInitName(cmdline, STATUS)).toBeUndefined();
  });

  it.each([
    ["in our namespace", "NSpid:\t4711\n"],
    ["whose pid in its namespace is 2", "NSpid:\t4711\t2\n"],
    ["whose pid in its namespace is 11, not 1", "NSpid:\t4711\t11\n"],
    ["of a nested namespace", "NSpid:\t4711\t5\t1\n"],
    ["whose name looks like an NSpid line", "Name:\tNSpid:\t4711\t1\n"],
  ])("is not misled by a process %s", (_, status) => {
    expect(tryParseInitName("init foo\0-P\0", status)).toBeUndefined();
  });
});
