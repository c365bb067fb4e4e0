/** Rows of figures as text for a terminal. Pure. */

export interface Column {
  readonly title: string;
  readonly cells: readonly string[];
  /** Numbers; names go to the left. */
  readonly alignRight?: boolean;
}

/** The lines of a table, the first with the titles. All columns have the same number of cells. */
export function formatTable(columns: readonly Column[]): string[] {
  const widths = columns.map(({ title, cells }) =>
    Math.max(title.length, ...cells.map((cell) => cell.length)),
  );
  const line = (cell: (column: Column) => string) =>
    columns
      .map((column, i) => {
        const width = widths[i] ?? 0;
        return column.alignRight === true
          ? cell(column).padStart(width)
          : cell(column).padEnd(width);
      })
      .join("  ")
      .trimEnd();
  const rows = columns[0]?.cells.map((_, row) => line(({ cells }) => cells[row] ?? "")) ?? [];
  return [line(({ title }) => title), ...rows];
}

/** @param bytes null: not known */
export function formatMebibytes(bytes: number | null): string {
  return bytes === null ? "-" : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

export function formatSeconds(seconds: number | null): string {
  return seconds === null ? "-" : `${seconds.toFixed(2)} s`;
}

export function formatCount(count: number | null): string {
  return count === null ? "-" : String(count);
}
