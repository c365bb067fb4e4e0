/** Rows of cells as a table for a terminal. Pure. */

/** Names go to the left; figures, which are compared by their last digits, to the right. */
export type Alignment = "left" | "right";

/**
 * Returns a line for each row, its columns two blanks apart, without blanks at its end.
 * @param alignments of the first columns; the last one given counts for all that follow
 */
export function alignColumns(
  rows: readonly (readonly string[])[],
  alignments: readonly Alignment[] = ["left"],
): string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const align = (cell: string, column: number) => {
    const width = widths[column] ?? 0;
    const alignment = alignments[column] ?? alignments.at(-1);
    return alignment === "right" ? cell.padStart(width) : cell.padEnd(width);
  };
  return rows.map((row) => row.map(align).join("  ").trimEnd());
}
