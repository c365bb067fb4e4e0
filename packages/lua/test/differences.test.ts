/** Each example in the table of docs/lua.md gives the results in the table, in LuaJIT and here. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { afterAll, describe, expect, it } from "vitest";
import { printedByLuajit, printedByUs } from "../differential/side-by-side.ts";

const text = readFileSync(join(import.meta.dirname, "../../../docs/lua.md"), "utf8");
const ROW = /^\| `(.+?)`\s+\| `([^`]*)`\s+\| `([^`]*)`\s+\| [^|]+\|$/gm;
const rows = [...text.matchAll(ROW)].map(([, example = "", luajit = "", ours = ""]) => ({
  example,
  luajit,
  ours,
}));

const directory = mkdtempSync(join(tmpdir(), "lua-differences-"));
afterAll(() => rmSync(directory, { recursive: true }));

/**
 * Writes a program that prints the results of an example: for a table only the type, for a failure
 * no message. Returns the path of the program.
 */
function program(example: string): string {
  const file = join(directory, "example.lua");
  writeFileSync(
    file,
    `local t, out = { (function() return ${example} end)() }, {}
     for i, v in ipairs(t) do
       if t[1] == false and i > 1 then break end
       out[i] = type(v) == "table" and "table" or (tostring(v):gsub("^-nan", "nan"))
     end
     print(table.concat(out, " "))`,
  );
  return file;
}

describe("the table of differences", () => {
  it("exists", () => expect(rows.length).toBeGreaterThan(8));

  it.each(rows)("$example", ({ example, luajit, ours }) => {
    const file = program(example);
    expect(shown(printedByUs(file, []))).toBe(shown(ours));
    expect(luajit).not.toBe(ours);
    if (missing("luajit") === undefined) expect(shown(printedByLuajit(file))).toBe(shown(luajit));
  });
});

/** Leaves out what follows the `true` of a successful `pcall`, unless it is a single table. */
const shown = (printed: string): string => printed.trim().replace(/^true (?!table$).*/s, "true");
