/**
 * Metrics are the numbers that the daemon counts and measures. Each metric is declared once, in the
 * module `metrics.ts` or `daemon-metrics.ts` of the part of the daemon that counts it. The output
 * of `cm4all-spawn status`, as text and as JSON, and the page for Prometheus are made from the
 * declarations. A new counter needs only its declaration and the statement that increments it.
 *
 * A part keeps its counts in a plain object: to count is to increment a property, and the object
 * can be sent to other threads as it is.
 */
import { emptyHistogram, type Histogram } from "./histogram.ts";

interface Common {
  /** The description for Prometheus: a sentence. */
  readonly help: string;
  /** The row of `cm4all-spawn status` in which the metric is shown. */
  readonly row: string;
  /** The text in the row; `{}` stands for the value. */
  readonly text: string;
  /** The text if the value is 1; undefined if it is the same. */
  readonly textOfOne?: string;
}

interface Numeric extends Common {
  /** The unit, a base unit of Prometheus. The metric's key ends in the unit's name. */
  readonly unit?: "seconds" | "bytes";
  /** The name of the label that distinguishes the numbers, if the metric has several numbers. */
  readonly label?: string;
  /** All values that the label can have; undefined if they are not known in advance. */
  readonly values?: readonly string[];
}

/** A counter never decreases while its thread is running; a gauge is measured on request. */
export interface NumberDeclaration extends Numeric {
  readonly kind: "counter" | "gauge";
}

/** The distribution of a quantity that is observed again and again, such as a duration. */
export interface HistogramDeclaration extends Numeric {
  readonly kind: "histogram";
  /** The upper bounds of the buckets, ascending, in the metric's unit. */
  readonly bounds: readonly number[];
}

/** One of several states; the metric is 1 for the current state and 0 for every other. */
export interface StateDeclaration extends Common {
  readonly kind: "state";
  /** All states, with the text of `cm4all-spawn status` for each. */
  readonly states: { readonly [state: string]: string };
}

export type Declaration = NumberDeclaration | HistogramDeclaration | StateDeclaration;

/** The metrics of a part by key, in the order in which they are shown. */
export type Declarations = { readonly [key: string]: Declaration };

/**
 * The type of a metric's value: a state, a number or a histogram; for a metric with a label, a
 * number or a histogram for each value of the label.
 */
type Value<D extends Declaration> = D extends StateDeclaration
  ? keyof D["states"] & string
  : D extends { readonly label: string }
    ? Record<LabelValue<D>, Single<D>>
    : Single<D>;

type LabelValue<D extends Declaration> = D extends { readonly values: readonly (infer V)[] }
  ? V & string
  : string;

type Single<D extends Declaration> = D["kind"] extends "histogram" ? Histogram : number;

/** The values of all metrics of a part at one moment. */
export type Values<D extends Declarations> = { readonly [Key in keyof D]: Value<D[Key]> };

/** The values that are counted when something happens. */
export type Counts<D extends Declarations> = {
  -readonly [Key in keyof D as D[Key]["kind"] extends "gauge" | "state" ? never : Key]: Value<
    D[Key]
  >;
};

/** The values that are measured on request. */
export type Gauges<D extends Declarations> = Omit<Values<D>, keyof Counts<D>>;

/** Returns the counts of a part at its start: all zero. */
export function zeroCounts<D extends Declarations>(declarations: D): Counts<D> {
  const counts = Object.entries(declarations).flatMap(([key, declaration]) =>
    declaration.kind === "gauge" || declaration.kind === "state"
      ? []
      : [[key, zeroValue(declaration)]],
  );
  return Object.fromEntries(counts) as Counts<D>;
}

function zeroValue(declaration: NumberDeclaration | HistogramDeclaration): unknown {
  const zero = () => (declaration.kind === "histogram" ? emptyHistogram(declaration.bounds) : 0);
  if (declaration.label === undefined) return zero();
  return Object.fromEntries((declaration.values ?? []).map((value) => [value, zero()]));
}
