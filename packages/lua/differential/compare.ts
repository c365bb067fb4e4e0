/** Compares the results of random expressions in LuaJIT and in our interpreter. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Case, generateCases } from "./generate.ts";
import { printedByLuajit, printedByUs } from "./side-by-side.ts";

/** The Lua program that prints `> EXPRESSION` and its results for each expression in a file. */
const driver = join(import.meta.dirname, "../test/driver.lua");

export interface Comparison extends Case {
  readonly luajit: string;
  readonly ours: string;
}

export function compareCases(count: number, seed: number): Comparison[] {
  const cases = generateCases(count, seed);
  const directory = mkdtempSync(join(tmpdir(), "lua-fuzz-"));
  try {
    const file = join(directory, "cases");
    writeFileSync(file, `${cases.map(({ line }) => line).join("\n")}\n`, "latin1");
    const luajit = answers(printedByLuajit(driver, file));
    const ours = answers(printedByUs(driver, [file]));
    return cases.map((one, i) => ({ ...one, luajit: luajit[i] ?? "", ours: ours[i] ?? "" }));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function answers(printed: string): string[] {
  return printed
    .split(/^> .*\n/m)
    .slice(1)
    .map((answer) => comparable(answer.trimEnd()));
}

/** Replaces addresses, which differ between the interpreters, with a fixed word. */
function comparable(answer: string): string {
  return answer.replace(
    /\b(table|function|thread|userdata|builtin): ?(?:builtin)?(?:0x[0-9a-f]+|#\d+|[0-9a-f]{6,})/g,
    "$1: ADDRESS",
  );
}
