/** The numbers of a metric, whatever its type. Pure. */
import type { Declaration } from "./declaration.ts";
import type { Histogram } from "./histogram.ts";

type Single = number | Histogram;

/** The value of any metric. */
export type AnyValue = string | Single | { readonly [labelValue: string]: Single };

/** A number or histogram, with the value of the label if the metric has a label. */
export interface Sample<Value extends Single = Single> {
  readonly labelValue: string | undefined;
  readonly value: Value;
}

/** Returns the name of a metric's label; undefined if the metric has none. */
export function labelOf(declaration: Declaration): string | undefined {
  return declaration.kind === "state" ? "state" : declaration.label;
}

/** Returns the numbers of a metric; none if its value is not known at this moment. */
export function numbersOf(
  declaration: Declaration,
  current: AnyValue | undefined,
): Sample<number>[] {
  if (declaration.kind === "state") {
    if (current === undefined) return [];
    const states = Object.keys(declaration.states);
    return states.map((state) => ({ labelValue: state, value: Number(state === current) }));
  }
  return samplesOf(current).flatMap(({ labelValue, value }) =>
    typeof value === "number" ? [{ labelValue, value }] : [],
  );
}

/** Returns the histograms of a metric; none if its value is not known at this moment. */
export function histogramsOf(current: AnyValue | undefined): Sample<Histogram>[] {
  return samplesOf(current).flatMap(({ labelValue, value }) =>
    typeof value === "number" ? [] : [{ labelValue, value }],
  );
}

function samplesOf(current: AnyValue | undefined): Sample[] {
  if (current === undefined || typeof current === "string") return [];
  if (typeof current === "number" || isHistogram(current))
    return [{ labelValue: undefined, value: current }];
  return Object.entries(current).map(([labelValue, value]) => ({ labelValue, value }));
}

function isHistogram(current: Exclude<AnyValue, string | number>): current is Histogram {
  return Array.isArray(current["counts"]);
}
