/** A histogram of prom-client whose values are counted elsewhere. */
import { Histogram as PrometheusHistogram, type Registry } from "prom-client";
import type { Histogram } from "../metrics/histogram.ts";
import type { Sample } from "../metrics/samples.ts";

export interface CountedHistogramOptions {
  readonly name: string;
  readonly help: string;
  readonly label: string | undefined;
  readonly registry: Registry;
  /** Returns the histograms with all values that have been counted so far. */
  readonly read: () => readonly Sample<Histogram>[];
}

/** Returns the labels of a sample. */
export function labels(
  label: string | undefined,
  value: string | undefined,
): Record<string, string> {
  return label === undefined || value === undefined ? {} : { [label]: value };
}

export class CountedHistogram extends PrometheusHistogram {
  readonly #options: CountedHistogramOptions;

  constructor(options: CountedHistogramOptions) {
    super({ name: options.name, help: options.help, registers: [options.registry] });
    this.#options = options;
  }

  /**
   * Returns the metric with its values. In prom-client, both the registry and the histogram's own
   * `get` call this method, which is missing from the type declarations.
   */
  async getForPromString(): Promise<object> {
    const { name, help, read } = this.#options;
    const values = read().flatMap((sample) => this.#lines(sample));
    return { name, help, type: "histogram", aggregator: "sum", values };
  }

  #lines({ labelValue, value }: Sample<Histogram>): object[] {
    const { name, label } = this.#options;
    const shared = labels(label, labelValue);
    let total = 0;
    const buckets = value.counts.map((count, i) => {
      total += count;
      const le = value.bounds[i] ?? "+Inf";
      return { metricName: `${name}_bucket`, labels: { ...shared, le }, value: total };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels: shared, value: value.sum },
      { metricName: `${name}_count`, labels: shared, value: total },
    ];
  }
}
