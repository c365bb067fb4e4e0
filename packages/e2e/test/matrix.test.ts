import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { platformsTable, stepName, steps } from "../matrix.mjs";

const page = readFileSync(
  fileURLToPath(new URL("../../../docs/platforms.md", import.meta.url)),
  "utf8",
);

const passed = { passed: 1234, failed: 0, skipped: 5, failures: [], commit: "abc1234" };

const rowsThatStartWith = (table: string, beginning: string) =>
  table
    .split("\n")
    .map((line) => line.replaceAll(/ +/g, " "))
    .filter((line) => line.startsWith(beginning));

it("docs/platforms.md has the table, with a row for each step", () => {
  expect(page).toContain(`\n\n${platformsTable(page, {})}\n`);
});

it("shows the commit and the date in the row of a step that has a result", () => {
  const table = platformsTable("", {
    "bookworm, Node 26, clone": { ...passed, date: "2026-11-27" },
    "trixie, container": { ...passed, date: "2026-12-01", failed: 2, failures: ["a|b", "c"] },
  });
  expect(rowsThatStartWith(table, "| 12 | 26")).toEqual([
    "| 12 | 26, npm's | `clone` | 1234 | 0 | 5 | abc1234 | 2026-11-27 | nothing |",
  ]);
  expect(rowsThatStartWith(table, "| 13 | 20.19, Debian's | container")).toEqual([
    "| 13 | 20.19, Debian's | container | 1234 | 2 | 5 | abc1234 | 2026-12-01 | a\\|b; c |",
  ]);
  expect(rowsThatStartWith(table, "| 13 | 22")).toEqual([
    "| 13 | 22, npm's | `clone` | - | - | - | - | - | not recorded |",
  ]);
});

it("keeps the row of a step that was run before, and replaces it if the step is run again", () => {
  const first = "bookworm, Node 26, clone";
  const second = "trixie, virtual machine";
  const earlier = { ...passed, date: "2026-11-20", failures: ["a|b"] };
  const before = platformsTable("", { [first]: earlier, [second]: earlier });
  expect(platformsTable(before, {})).toBe(before);
  const again = { [second]: { ...passed, date: "2026-11-27", commit: "def5678" } };
  expect(platformsTable(before, again)).toBe(platformsTable("", { [first]: earlier, ...again }));
});

it("aligns the columns", () => {
  const lengths = platformsTable(page, {})
    .trimEnd()
    .split("\n")
    .map((line) => line.length);
  expect(new Set(lengths).size).toBe(1);
});

it("gives each step a name of its own", () => {
  expect(new Set(steps.map(stepName)).size).toBe(steps.length);
});
