import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bytesOfText } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { scriptAttributes } from "./attributes.ts";
import { figureEntries } from "./figures.ts";

const ALIAS = "memory_max_usage";
const OBJECTS = ["path", "xattr", "parent"];

interface Row {
  readonly type: string;
  readonly from: string;
}

/** Returns the rows of the table in docs/lua.md by attribute; a row may have several attributes. */
function documentedAttributes(): Map<string, Row> {
  const text = readFileSync(join(import.meta.dirname, "../../../docs/lua.md"), "utf8");
  const section = text.slice(text.indexOf("\n## The cgroup\n"), text.indexOf("\n## PostgreSQL\n"));
  const rows = new Map<string, Row>();
  for (const line of section.split("\n").filter((each) => each.startsWith("| `"))) {
    const [, names = "", type = "", from = ""] = line.split("|").map((cell) => cell.trim());
    let stem = "";
    for (const [, name = ""] of names.matchAll(/`(\w+)`/g)) {
      if (!name.startsWith("_")) stem = name.slice(0, name.lastIndexOf("_"));
      rows.set(name.startsWith("_") ? stem + name : name, { type, from });
    }
  }
  return rows;
}

describe("the attributes that scripts see", () => {
  const documented = documentedAttributes();

  it("are those of docs/lua.md", () => {
    expect([...scriptAttributes.keys(), ...OBJECTS].sort()).toEqual([...documented.keys()].sort());
  });

  it.each(figureEntries)("%s: docs/lua.md has its unit and its file", (_, figure) => {
    const row = documented.get(figure.attribute);
    const unit = { microseconds: "seconds", bytes: "bytes", count: "count" }[figure.unit];
    expect(row?.type.replace(/^counts$/, "count")).toBe(unit);
    const [file] = figure.source;
    expect([`\`${file}\``, "`*.pressure`"].some((name) => row?.from.includes(name))).toBe(true);
    expect(row?.from.includes("`*.pressure`")).toBe(file.endsWith(".pressure"));
  });

  it.each(figureEntries)("%s: has the unit in its name", (name, { unit }) => {
    expect(name.endsWith("Usec")).toBe(unit === "microseconds");
    expect(name.endsWith("Bytes")).toBe(unit === "bytes");
  });

  it("show microseconds as seconds, and unknown values as undefined", () => {
    const base = { path: bytesOfText("/a"), id: "boot:1", report: 2, measuredMs: 5500 };
    const snapshot = { ...base, birthMs: 1900, cpuTotalUsec: 1_500_000, memoryPeakBytes: 7 };
    const known = [...scriptAttributes].flatMap(([name, attribute]) => {
      const value = attribute(snapshot);
      return value === undefined ? [] : [[name, value]];
    });
    expect(Object.fromEntries(known)).toEqual({
      id: "boot:1",
      report: 2,
      btime: 1,
      age: 3.6,
      measured: 5.5,
      cpu_total: 1.5,
      memory_peak: 7,
      [ALIAS]: 7,
    });
    expect(scriptAttributes.get("btime")?.(base)).toBeUndefined();
    expect(scriptAttributes.get("age")?.(base)).toBeUndefined();
  });
});
