/** The names of metrics. Pure. */
import type { Declaration } from "./declaration.ts";

/**
 * Returns the name of a metric: `cm4all_spawn_`, the part of the daemon to which the metric
 * belongs, its key in snake case, and `_total` for a counter.
 * @see https://prometheus.io/docs/practices/naming/
 */
export function metricName(part: string, key: string, kind: Declaration["kind"]): string {
  const words = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return `cm4all_spawn_${part}_${words}${kind === "counter" ? "_total" : ""}`;
}
