/** Tests that the check of docstrings finds exports without a docstring. */
import { expect, it } from "vitest";
import { undocumented } from "../docstrings.mjs";

it.each([
  ["a function", "export function a() {}", "a"],
  ["an async function below a comment", "// about b\nexport async function a() {}", "a"],
  ["a function in a constant", "export const a = () => 1;", "a"],
  ["a default export", "export default function () {}", "the default"],
  ["a class", "/** About b. */\nconst b = 1;\n\nexport class A {}\nexport class B {}", "A"],
  ["a public method", "/** About A. */\nexport class A {\n  a() {}\n}", "A.a"],
  ["a static method", "/** About A. */\nexport class A {\n  static a() {}\n}", "A.a"],
])("finds %s without a docstring", (_what, text, name) => {
  expect(undocumented("a.ts", text)[0]).toMatch(
    new RegExp(`^a\\.ts:[0-9]+: ${name.replace(".", "\\.")} has no docstring$`),
  );
});

it.each([
  ["a function with a docstring", "/** Returns 1. */\nexport const a = () => 1;"],
  ["items that are not exported", "function a() {}\nclass A { a() {} }"],
  ["values and types", "export const a = 1;\nexport interface A {}\nexport type B = A;"],
  ["the only class of a file that begins with a docstring", "/** About A. */\nexport class A {}"],
  [
    "items that are described elsewhere",
    "/** About A. */\nexport class A extends B { constructor() {} get a() {} override b() {} }",
  ],
  [
    "methods of a class that implements an interface",
    "/** About A. */\nexport class A implements B { a() {} }",
  ],
  ["private methods", "/** About A. */\nexport class A { #a() {} private b() {} }"],
])("accepts %s", (_what, text) => {
  expect(undocumented("a.ts", text)).toEqual([]);
});
