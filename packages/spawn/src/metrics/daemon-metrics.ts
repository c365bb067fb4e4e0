/** The daemon's status as metrics. Pure. */

import { NAMESPACE_KINDS } from "@cm4all/spawn-protocol";
import { LATENCY_BUCKETS_MS } from "../namespaces/requests/statistics.ts";
import type { DaemonStatus } from "../status.ts";
import { cgroupMetrics } from "./cgroup-metrics.ts";

/** One sample: labels, value, and its own name where that is not the metric's. */
export type Sample = readonly [
  labels: Readonly<Record<string, string | number>>,
  value: number,
  name?: string,
];

/** A metric as it is shown. */
export interface Metric {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly samples: readonly Sample[];
}

const one = (value: number): Sample[] => [[{}, value]];

/** The daemon's counters and gauges. Pure. */
export function metricsOf({
  namespaces: n,
  reaping,
  uptimeSeconds,
  version,
}: DaemonStatus): Metric[] {
  const { requests: r } = n;
  return [
    {
      name: "cm4all_spawn_build_info",
      type: "gauge",
      help: "The version that runs.",
      samples: [[{ version }, 1]],
    },
    {
      name: "cm4all_spawn_uptime_seconds",
      type: "gauge",
      help: "How long the daemon has run.",
      samples: one(uptimeSeconds),
    },
    {
      name: "cm4all_spawn_requests_total",
      type: "counter",
      help: "Datagrams from clients by what became of them.",
      samples: [
        [{ result: "answered" }, r.answered],
        [{ result: "failed" }, r.failed],
        [{ result: "malformed" }, r.malformed],
        [{ result: "refused" }, r.refused],
      ],
    },
    {
      name: "cm4all_spawn_requested_total",
      type: "counter",
      help: "What answered requests asked for; one can ask for several things.",
      samples: Object.entries(r.byType).map(([type, count]) => [{ type }, count]),
    },
    {
      name: "cm4all_spawn_names",
      type: "gauge",
      help: "Names that have namespaces.",
      samples: one(n.names),
    },
    {
      name: "cm4all_spawn_leased_names",
      type: "gauge",
      help: "Names with an open lease.",
      samples: one(n.leasedNames),
    },
    {
      name: "cm4all_spawn_namespaces",
      type: "gauge",
      help: "Namespaces by type.",
      samples: NAMESPACE_KINDS.map(({ kind }) => [{ type: kind }, n[`${kind}Namespaces`]]),
    },
    {
      name: "cm4all_spawn_connections",
      type: "gauge",
      help: "Clients that are connected.",
      samples: one(n.connections),
    },
    {
      name: "cm4all_spawn_expired_names_total",
      type: "counter",
      help: "Names that have ended some time after their last use.",
      samples: one(n.expiredNames),
    },
    {
      name: "cm4all_spawn_spared_names_total",
      type: "counter",
      help: "How often a name was spared because processes ran in its PID namespace.",
      samples: one(n.sparedNames),
    },
    {
      name: "cm4all_spawn_init_deaths_total",
      type: "counter",
      help: "Inits of PID namespaces that ended by themselves.",
      samples: one(n.initDeaths),
    },
    latencyHistogram(n),
    ...(reaping === undefined ? [] : cgroupMetrics(reaping)),
  ];
}

/** How long answers took. Pure. */
export function latencyHistogram({ requests }: DaemonStatus["namespaces"]): Metric {
  const name = "cm4all_spawn_request_duration_seconds";
  let sum = 0;
  const samples = requests.latencyCounts.map((count, i): Sample => {
    sum += count;
    const boundMs = LATENCY_BUCKETS_MS[i];
    return [{ le: boundMs === undefined ? "+Inf" : boundMs / 1000 }, sum, `${name}_bucket`];
  });
  return {
    name,
    type: "histogram",
    help: "From reading a request to sending its answer.",
    samples: [
      ...samples,
      [{}, requests.answeredTotalMs / 1000, `${name}_sum`],
      [{}, requests.answered, `${name}_count`],
    ],
  };
}
