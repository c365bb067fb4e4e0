/**
 * Metrics are what the daemon counts and measures. Each is declared once, in the table
 * `metrics.ts` of the part that counts it; `cm4all-spawn status`, its JSON and the page for
 * Prometheus are printed from the declarations. To add a counter: its declaration, and the line
 * that counts.
 *
 * A part keeps its counts in a plain object, so that counting is the increment of a
 * property; that object crosses threads as it is.
 */
import { emptyHistogram, type Histogram } from "./histogram.ts";

interface Common {
  /** For Prometheus: a sentence. */
  readonly help: string;
  /** The row of `cm4all-spawn status`. */
  readonly row: string;
  /** Its text there; `{}` stands for the value. */
  readonly text: string;
}

interface Numeric extends Common {
  /** Base units only; the metric's key ends in it. */
  readonly unit?: "seconds" | "bytes";
  /** Tells apart the numbers of a metric that is several. */
  readonly label?: string;
  /** All values that the label can have, unless they are not known beforehand. */
  readonly values?: readonly string[];
}

/** A counter never decreases while its thread runs; a gauge is measured when it is asked for. */
export interface NumberDeclaration extends Numeric {
  readonly kind: "counter" | "gauge";
}

/** For what happens again and again, each time with a value: how many had which. */
export interface HistogramDeclaration extends Numeric {
  readonly kind: "histogram";
  /** Upper bounds of its buckets, ascending, in its unit. */
  readonly bounds: readonly number[];
}

/** One of several states; a metric has a 1 for it and a 0 for each other. */
export interface StateDeclaration extends Common {
  readonly kind: "state";
  /** All states, and how `cm4all-spawn status` says each. */
  readonly states: { readonly [state: string]: string };
}

export type Declaration = NumberDeclaration | HistogramDeclaration | StateDeclaration;

/** The metrics of a part by their key, in the order in which they are shown. */
export type Declarations = { readonly [key: string]: Declaration };

/** The state, the number or histogram, or one for each value of the label. */
type Value<D extends Declaration> = D extends StateDeclaration
  ? keyof D["states"] & string
  : D extends { readonly label: string }
    ? Record<LabelValue<D>, Single<D>>
    : Single<D>;

type LabelValue<D extends Declaration> = D extends { readonly values: readonly (infer V)[] }
  ? V & string
  : string;

type Single<D extends Declaration> = D["kind"] extends "histogram" ? Histogram : number;

/** The values of a part at one moment. */
export type Values<D extends Declarations> = { readonly [Key in keyof D]: Value<D[Key]> };

/** Those that are counted while things happen. */
export type Counts<D extends Declarations> = {
  -readonly [Key in keyof D as D[Key]["kind"] extends "gauge" | "state" ? never : Key]: Value<
    D[Key]
  >;
};

/** Those that are measured when they are asked for. */
export type Gauges<D extends Declarations> = Omit<Values<D>, keyof Counts<D>>;

/** Returns the counts of a part at its start: nothing has happened. */
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
