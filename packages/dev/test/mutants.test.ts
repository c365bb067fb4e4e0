/** Tests that the mutants of a file are small mistakes in executed code, and nothing else. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { mutantsOf } from "../mutation/mutants.mjs";

/** Returns the text once for each mutant, with that mutant in it. */
const mutated = (text: string) =>
  mutantsOf("a.ts", text).map(
    ({ start, end, replacement }) => text.slice(0, start) + replacement + text.slice(end),
  );

it.each([
  ["a comparison", "const a = b < c;", ["const a = b <= c;", "const a = b >= c;"]],
  ["an operator after a comment", "a = b /* + */ + c;", [";", "a = b /* + */ - c;"]],
  ["a number", "const a = 0x0f;", ["const a = 16;"]],
  ["a string", 'const a = "nobody";', ['const a = "";']],
  ["an empty string", 'const a = "";', ['const a = "other";']],
  ["a list", "const a = [b];", ["const a = [];"]],
  ["a condition", "const a = b ? c : d;", ["const a = true ? c : d;", "const a = false ? c : d;"]],
  [
    "a comparison in a condition",
    "if (a < b) c;",
    ["if (true) c;", "if (false) c;", "if (a <= b) c;", "if (a < b) ;"],
  ],
  ["a loop", "while (a) b;", ["while (false) b;", "while (a) ;"]],
  ["a statement", "a();", [";"]],
  ["a method with a counterpart", "const a = b.min(c);", ["const a = b.max(c);"]],
  ["a function that returns an object", "const a = () => ({});", ["const a = () => undefined;"]],
  ["an early return", "function a() { return b; }", ["function a() { return; }"]],
  ["an error", "function a() { throw b; }", ["function a() { ; }"]],
])("changes %s", (_what, text, expected) => {
  expect(mutated(text)).toEqual(expected);
});

it.each([
  ["types", "type A = 1 | 2; interface B { c: 3 } let a: A | 4;"],
  ["imports", 'import { a } from "a"; export * from "b";'],
  ["names of properties", 'const a = { "b": c };'],
  ["messages for people", "const a = 'is too long'; const b = `$" + "{c} is too long`;"],
  ["a return of undefined", "function a() { return undefined; }"],
  ["methods that every object has", "const a = b.toString();"],
])("leaves %s alone", (_what, text) => {
  expect(mutated(text)).toEqual([]);
});

it("reports how many mutants of a line are noticed by tests, and leaves the file unchanged", {
  timeout: 300_000,
}, () => {
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const file = "packages/supervision/src/backoff.ts";
  const before = readFileSync(`${root}/${file}`, "utf8");
  const line = before.split("\n").findIndex((text) => text.includes("this.#failures++")) + 1;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ["packages/dev/mutation/mutate.mjs", `${file}:${line}`],
    { cwd: root, encoding: "utf8", env: { PATH: process.env["PATH"] } },
  );
  // One mutant decrements the counter, and the other leaves it unchanged.
  expect(stdout, stderr).toMatch(/^2 of 2 100 % +packages\/supervision\/src\/backoff\.ts/m);
  expect(readFileSync(`${root}/${file}`, "utf8")).toBe(before);
});
