import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { snippetsOfText } from "@cm4all/testing/snippets";
import { expect, it } from "vitest";
import { twoCommands } from "../bare/readme.mjs";

const REMARK = "<!-- tested by: packages/e2e/bare/newcomer.mjs -->";

const readme = readFileSync(fileURLToPath(new URL("../../../README.md", import.meta.url)), "utf8");

it("takes the same two commands from README as snippetsOfText", () => {
  const { start, test } = twoCommands(readme);
  const marked = snippetsOfText(readme).filter(
    ({ testedBy }) => testedBy === "packages/e2e/bare/newcomer.mjs",
  );
  expect(marked.map(({ text }) => text.replaceAll(/ +#.*$/gm, ""))).toEqual([`${start}\n${test}`]);
});

it("takes the commands without their comments", () => {
  const text = `Text\n\n    npm other\n\n${REMARK}\n\n    a --b    # shows\n    sh -c 'c # d'\n\nText\n`;
  expect(twoCommands(text)).toEqual({ start: "a --b", test: "sh -c 'c # d'" });
});

it.each([
  ["no remark", "Text\n\n    a\n    b\n"],
  ["no block", `${REMARK}\n\nText\n`],
  ["one command", `${REMARK}\n\n    a\n\n    b\n`],
  ["three commands", `${REMARK}\n\n    a\n    b\n    c\n`],
])("refuses a page with %s", (_, text) => {
  expect(() => twoCommands(text)).toThrow("README does not have two commands");
});
