/**
 * The daemon's metrics for Prometheus. This module and prom-client are loaded only if metrics are
 * served.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { Declaration } from "../metrics/declaration.ts";
import { metricName } from "../metrics/metric-name.ts";
import { histogramsOf, labelOf, numbersOf } from "../metrics/samples.ts";
import { type DaemonStatus, forEachMetric, type Part, type PartValues } from "../status/status.ts";
import { CountedHistogram, labels } from "./counted-histogram.ts";

/**
 * The interval at which the delay of the event loop is sampled, in milliseconds: the longest that
 * monitorEventLoopDelay accepts, because the metrics of this delay are left out.
 */
const NEVER_MS = 2 ** 31 - 1;

export interface Page {
  readonly contentType: string;
  readonly text: string;
}

/**
 * Renders the metrics. The daemon has a single `Exposition`, however often the address changes,
 * because prom-client's default metrics are those of the process.
 */
export class Exposition {
  readonly #registry = new Registry();
  readonly #readStatus: () => Promise<DaemonStatus>;
  #status: DaemonStatus | undefined;
  #rendering: Promise<Page> | undefined;

  /** @param readStatus collects the status from the daemon's parts */
  constructor(readStatus: () => Promise<DaemonStatus>) {
    this.#readStatus = readStatus;
    this.#registerBuild();
    forEachMetric((part, key, declaration) => this.#register(part, key, declaration));
    registerProcess(this.#registry);
  }

  /**
   * Returns all metrics. Concurrent calls share an answer, so that many calls cost the daemon's
   * threads no more than one call.
   */
  render(): Promise<Page> {
    this.#rendering ??= this.#render().finally(() => {
      this.#rendering = undefined;
    });
    return this.#rendering;
  }

  async #render(): Promise<Page> {
    this.#status = await this.#readStatus();
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #registerBuild(): void {
    const build: Gauge = new Gauge({
      name: "cm4all_spawn_build_info",
      help: "The version of the running daemon.",
      labelNames: ["version"],
      registers: [this.#registry],
      collect: () => build.set({ version: this.#status?.version ?? "" }, 1),
    });
  }

  #register(part: Part, key: string, declaration: Declaration): void {
    const label = labelOf(declaration);
    const current = () => {
      const values: PartValues | undefined = this.#status;
      return values?.[part]?.[key];
    };
    const common = {
      name: metricName(part, key, declaration.kind),
      help: declaration.help,
      labelNames: label === undefined ? [] : [label],
      registers: [this.#registry],
    };
    if (declaration.kind === "histogram") {
      const { name, help } = common;
      const read = () => histogramsOf(current());
      new CountedHistogram({ name, help, label, registry: this.#registry, read });
    } else if (declaration.kind === "counter") {
      const counter = new Counter({
        ...common,
        collect: () => {
          counter.reset();
          // Without a label, resetting leaves a 0, even for a value that is not known.
          if (label === undefined) counter.remove();
          for (const { labelValue, value } of numbersOf(declaration, current()))
            counter.inc(labels(label, labelValue), value);
        },
      });
    } else {
      const gauge = new Gauge({
        ...common,
        collect: () => {
          gauge.reset();
          if (label === undefined) gauge.remove();
          for (const { labelValue, value } of numbersOf(declaration, current()))
            gauge.set(labels(label, labelValue), value);
        },
      });
    }
  }
}

/**
 * Registers the `process_*` metrics, which common dashboards use, and Node's version. The other
 * `nodejs_*` metrics are left out. Some describe only the main thread, which does the least work;
 * some are reset at each scrape (`nodejs_eventloop_lag_*`); some are gauges whose names end in
 * `_total`.
 */
function registerProcess(register: Registry): void {
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: NEVER_MS });
  for (const { name } of register.getMetricsAsArray())
    if (name.startsWith("nodejs_") && name !== "nodejs_version_info")
      register.removeSingleMetric(name);
  replaceStartTime(register);
}

/**
 * Replaces prom-client's start time, which is rounded to a second: two starts within one second
 * would look like one, and `changes(process_start_time_seconds[1h])` would count too few starts.
 */
function replaceStartTime(register: Registry): void {
  const name = "process_start_time_seconds";
  register.removeSingleMetric(name);
  const startTime = new Gauge({
    name,
    help: "Start time of the process, in seconds since the epoch.",
    registers: [register],
  });
  startTime.set(performance.timeOrigin / 1000);
}
