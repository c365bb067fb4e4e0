import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { shellWord } from "./shell-word.ts";

it("leaves a plain path as it is", () => {
  expect(shellWord("packages/spawn/dist/a-b_c.js")).toBe("packages/spawn/dist/a-b_c.js");
});

it.each(["/a directory/with blanks", "it's", "$HOME", "a\\b", "*", "~", "", 'a"b', "a;b"])(
  "quotes %s so that a shell takes it literally",
  (text) => {
    const word = shellWord(text);
    expect(execFileSync("sh", ["-c", `printf %s ${word}`], { encoding: "utf8" })).toBe(text);
  },
);
