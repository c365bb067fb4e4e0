/** Formats rows of cells as a table for a terminal. Pure. */
import { fitting, padEnd, padStart, widthOf } from "./width.ts";

/** For names, `left`; for figures, `right`, so that their last digits line up. */
export type Alignment = "left" | "right";

/**
 * Returns lines that show each title with its text beside it, two blanks apart. A text that is too
 * wide for the terminal is continued on the lines below.
 * @param columns the width of the terminal; undefined to put each text on one line, however wide
 */
export function wrapRows(
  rows: readonly (readonly [title: string, text: string])[],
  columns: number | undefined,
): string[] {
  const indent = Math.max(0, ...rows.map(([title]) => widthOf(title))) + 2;
  return rows.flatMap(([title, text]) =>
    wrapText(text, columns === undefined ? Infinity : Math.max(columns - indent, 1)).map(
      (line, index) => (padEnd(index === 0 ? title : "", indent) + line).trimEnd(),
    ),
  );
}

/**
 * Breaks a text into lines that are no wider than `columns`: at blanks, and inside words that are
 * too long for a line.
 */
export function wrapText(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  let width = 0;
  for (const word of text.split(" ")) {
    const wordWidth = widthOf(word);
    if (line !== "" && width + 1 + wordWidth > columns) {
      lines.push(line);
      line = "";
    }
    width = line === "" ? wordWidth : width + 1 + wordWidth;
    line = line === "" ? word : `${line} ${word}`;
    while (width > columns) {
      // A line has at least one character, even if that is too wide.
      const begin = fitting(line, columns) || String.fromCodePoint(line.codePointAt(0) ?? 0);
      if (begin === line) break;
      lines.push(begin);
      line = line.slice(begin.length);
      width = widthOf(line);
    }
  }
  lines.push(line);
  return lines;
}

/**
 * Returns a line for each row, its columns two blanks apart, without blanks at its end.
 * @param alignments the alignments of the columns; the last one applies to all further columns
 */
export function alignColumns(
  rows: readonly (readonly string[])[],
  alignments: readonly Alignment[] = ["left"],
): string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(...rows.map((row) => widthOf(row[column] ?? ""))),
  );
  const align = (cell: string, column: number) => {
    const width = widths[column] ?? 0;
    const alignment = alignments[column] ?? alignments.at(-1);
    return alignment === "right" ? padStart(cell, width) : padEnd(cell, width);
  };
  return rows.map((row) => row.map(align).join("  ").trimEnd());
}
