/** What the daemon shows of itself, whoever asks. */
import { alignColumns } from "@cm4all/command";
import type { callEngine } from "@cm4all/linux";
import type { JournalStatus } from "./accounting/journal/journal-store.ts";
import { ACCOUNTING_METRICS, type AccountingMetrics } from "./accounting/terms/metrics.ts";
import { DAEMON_METRICS, type DaemonMetrics } from "./daemon-metrics.ts";
import type { Declaration, Declarations } from "./metrics/declaration.ts";
import { formatDuration, formatMetrics, type Row } from "./metrics/format.ts";
import type { AnyValue } from "./metrics/samples.ts";
import { NAMESPACE_METRICS, type NamespaceMetrics } from "./namespaces/metrics.ts";
import { REAPER_METRICS, type ReaperMetrics } from "./reaper/metrics.ts";

/** The declarations of all metrics, by the part of the daemon that has them; names and JSON begin with it. */
export const PARTS = {
  daemon: DAEMON_METRICS,
  namespace: NAMESPACE_METRICS,
  reaper: REAPER_METRICS,
  accounting: ACCOUNTING_METRICS,
} as const satisfies { readonly [part: string]: Declarations };

export type Part = keyof typeof PARTS;

/** The values of all parts, of whatever shape; undefined for a part that does not run. */
export type PartValues = {
  readonly [P in Part]?: { readonly [key: string]: AnyValue } | undefined;
};

/** Calls `visit` for each metric that is declared. */
export function forEachMetric(
  visit: (part: Part, key: string, declaration: Declaration) => void,
): void {
  const parts: { readonly [P in Part]: Declarations } = PARTS;
  for (const part of Object.keys(PARTS).filter(isPart))
    for (const [key, declaration] of Object.entries(parts[part])) visit(part, key, declaration);
}

function isPart(name: string): name is Part {
  return Object.hasOwn(PARTS, name);
}

/** Whether metrics can be fetched. */
export interface MetricsStatus {
  /** As configured. */
  readonly address: string;
  readonly isListening: boolean;
  /** The last failure to listen; undefined before the first, and once it listens. */
  readonly problem?: string | undefined;
}

/** As `cm4all-spawn status --json` prints it; cm4all-spawn(8) describes it. */
export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  /** How system calls are made; `ffi-rs` where there was no compiler, and slower. */
  readonly systemCalls: typeof callEngine;
  readonly daemon: DaemonMetrics;
  readonly namespace: NamespaceMetrics;
  /** Undefined while its thread does not run. */
  readonly reaper?: ReaperMetrics | undefined;
  /** Undefined if the configuration says that no cgroups are reaped. */
  readonly accounting?: AccountingMetrics | undefined;
  /** Where records of cgroups wait; undefined as `accounting`. */
  readonly journal?: JournalStatus | undefined;
  /** Undefined if the configuration says that there are none. */
  readonly metrics?: MetricsStatus | undefined;
}

/** The status for people. Pure. */
export function formatStatus(status: DaemonStatus): string[] {
  const { version, pid, uptimeSeconds, systemCalls, reaper, accounting, journal, metrics } = status;
  const uptime = formatDuration(uptimeSeconds);
  const rows: Row[] = [["daemon", `cm4all-spawn ${version}, pid ${pid}, up ${uptime}`]];
  rows.push(["system calls", `through ${systemCalls === "addon" ? "the addon" : "ffi-rs"}`]);
  rows.push(...formatMetrics(PARTS.daemon, status.daemon));
  rows.push(...formatMetrics(PARTS.namespace, status.namespace));
  if (accounting === undefined) rows.push(["cgroups", "not reaped"]);
  else if (reaper === undefined) rows.push(["cgroups", "the reaper does not run"]);
  else rows.push(...formatMetrics(PARTS.reaper, reaper));
  if (accounting !== undefined) rows.push(...formatMetrics(PARTS.accounting, accounting));
  if (journal !== undefined) rows.push(["journal in", formatJournal(journal)]);
  if (metrics !== undefined) rows.push(["metrics", formatEndpoint(metrics)]);
  return alignColumns(rows);
}

function formatJournal({ path, forgetful, problem }: JournalStatus): string {
  const place = forgetful === undefined ? path : `${path} (${forgetful}: may be lost at a restart)`;
  return problem === undefined ? place : `${place}: ${problem}`;
}

function formatEndpoint({ address, isListening, problem }: MetricsStatus): string {
  if (isListening) return `at ${address}`;
  return `not reachable at ${address}: ${problem ?? "not listening yet"}`;
}
