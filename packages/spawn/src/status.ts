/** What `cm4all-spawn status` shows. */
import { NAMESPACE_KINDS } from "@cm4all/spawn-protocol";
import type { CgroupServiceStatus } from "./cgroup-service.ts";
import type { MetricsStatus } from "./metrics/endpoint.ts";
import type { NamespaceStatus } from "./namespaces/messages.ts";

export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly namespaces: NamespaceStatus;
  /** Undefined where the configuration says that no cgroups are reaped. */
  readonly reaping?: CgroupServiceStatus | undefined;
  /** Undefined where the configuration says that there are none. */
  readonly metrics?: MetricsStatus | undefined;
}

function duration(seconds: number): string {
  const units = [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
  ] as const;
  for (const [unit, size] of units)
    if (seconds >= size) return `${(seconds / size).toFixed(1)} ${unit}`;
  return `${Math.round(seconds)} s`;
}

/** Lines of a title and a text, the texts below each other. */
function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([title]) => title.length));
  return rows.map(([title, text]) => `${title.padEnd(width)}  ${text}`);
}

/** The status for people. Pure. */
export function formatStatus(status: DaemonStatus): string[] {
  const { namespaces: n } = status;
  const { requests: r } = n;
  const meanMs = r.answered === 0 ? 0 : r.answeredTotalMs / r.answered;
  return table([
    [
      "daemon",
      `cm4all-spawn ${status.version}, pid ${status.pid}, up ${duration(status.uptimeSeconds)}`,
    ],
    ["names", `${n.names}, ${n.leasedNames} of them leased`],
    [
      "namespaces",
      `${NAMESPACE_KINDS.map(({ kind, title }) => `${n[`${kind}Namespaces`]} ${title}`).join(", ")}; ${n.openHandles} open`,
    ],
    ["connections", `${n.connections}`],
    ["requests", `${r.answered} answered, ${meanMs.toFixed(2)} ms on average`],
    ["refused", `${r.failed} by kernel or quota, ${r.refused} peers, ${r.malformed} malformed`],
    [
      "expired",
      `${n.expiredNames} names; ${n.sparedNames} times one was spared because it was busy`,
    ],
    ["inits", `${n.initDeaths} ended by themselves`],
    ...formatCgroups(status.reaping),
    ...formatMetrics(status.metrics),
  ]);
}

/** The row about metrics. Pure. */
export function formatMetrics(metrics: MetricsStatus | undefined): [string, string][] {
  if (metrics === undefined) return [];
  const { address, isListening, problem } = metrics;
  if (isListening) return [["metrics", `at ${address}`]];
  return [["metrics", `not reachable at ${address}: ${problem ?? "not listening yet"}`]];
}

/** The rows about cgroups. Pure. */
export function formatCgroups(reaping: CgroupServiceStatus | undefined): [string, string][] {
  if (reaping === undefined) return [["cgroups", "not reaped"]];
  const { reaper: r, accounting: a } = reaping;
  const rows: [string, string][] = [
    [
      "accounting",
      `script ${STATES[a.state]}; ${a.accounted} accounted, ${a.waiting} waiting, ${a.running} of them running`,
    ],
    ["failures", `${a.failed} handlers failed, ${a.retried} called again, ${a.lost} cgroups lost`],
  ];
  if (r === undefined) return [["cgroups", "the reaper does not run"], ...rows];
  return [
    ["cgroups", `${r.watched} watched, ${r.waiting} ran empty and wait for their handler`],
    [
      "reaped",
      `${r.released} measured, ${r.deleted} deleted, ${r.vanished} vanished, ${r.repopulated} ran again`,
    ],
    [
      "watching",
      `${r.inotifyWatches} watches, ${r.unwatched} refused; ${r.rescans} rescans, ${r.missed} missed`,
    ],
    ...rows,
  ];
}

const STATES = {
  starting: "is starting",
  ready: "is ready",
  down: "does not run",
  idle: "has no handler",
} as const;
