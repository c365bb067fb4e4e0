/** Formats metrics for people. Pure. */
import type { Declaration, Declarations } from "./declaration.ts";
import { countOf } from "./histogram.ts";
import { type AnyValue, histogramsOf, numbersOf } from "./samples.ts";

/** A title, and the text beside it. */
export type Row = readonly [title: string, text: string];

/** Returns the rows of a part, in the order of its declarations. */
export function formatMetrics(
  declarations: Declarations,
  values: { readonly [key: string]: AnyValue },
): Row[] {
  const rows = new Map<string, string[]>();
  for (const [key, declaration] of Object.entries(declarations)) {
    const texts = rows.get(declaration.row) ?? [];
    const value = formatValue(declaration, values[key]);
    const { text, textOfOne = text } = declaration;
    texts.push((value === "1" ? textOfOne : text).replace("{}", () => value));
    rows.set(declaration.row, texts);
  }
  // A text that begins with "of " is a limit, which belongs to the number before it.
  const join = (all: string, text: string) => `${all}${text.startsWith("of ") ? " " : ", "}${text}`;
  return [...rows].map(([title, texts]) => [title, texts.reduce(join)]);
}

/**
 * Formats the value of a metric: for histograms, the mean of all values; for numbers, each number,
 * or the total if the values of the label are not known in advance.
 */
function formatValue(declaration: Declaration, current: AnyValue | undefined): string {
  if (declaration.kind === "state") return declaration.states[String(current)] ?? "";
  const { unit } = declaration;
  if (declaration.kind === "histogram") {
    const histograms = histogramsOf(current).map(({ value }) => value);
    const count = sum(histograms.map(countOf));
    return formatNumber(count === 0 ? 0 : sum(histograms.map((each) => each.sum)) / count, unit);
  }
  const numbers = numbersOf(declaration, current);
  if (declaration.values === undefined)
    return formatNumber(sum(numbers.map(({ value }) => value)), unit);
  return numbers
    .map(({ labelValue, value }) => `${formatNumber(value, unit)} ${labelValue}`)
    .join(", ");
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function formatNumber(value: number, unit: "seconds" | "bytes" | undefined): string {
  if (unit === "seconds") return formatDuration(value);
  if (unit === "bytes") return `${(value / 2 ** 20).toFixed(1)} MiB`;
  return `${value}`;
}

/** Formats a duration, such as `0.50 ms`, `12.3 s` or `1.5 h`. */
export function formatDuration(seconds: number): string {
  const units = [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
  ] as const;
  for (const [unit, size] of units)
    if (seconds >= size) return `${(seconds / size).toFixed(1)} ${unit}`;
  return seconds >= 1 || seconds === 0
    ? `${Number(seconds.toFixed(1))} s`
    : `${(seconds * 1000).toFixed(2)} ms`;
}
