/** What the daemon shows of itself, whoever asks. */
import type { callEngine } from "@cm4all/linux";
import type { JournalStatus } from "../accounting/journal/journal-store.ts";
import { ACCOUNTING_METRICS, type AccountingMetrics } from "../accounting/terms/metrics.ts";
import type { ScriptStatus } from "../accounting/terms/script-status.ts";
import type { ConfigurationStatus } from "../config-file.ts";
import type { Declaration, Declarations } from "../metrics/declaration.ts";
import { formatDuration, formatMetrics, type Row } from "../metrics/format.ts";
import type { AnyValue } from "../metrics/samples.ts";
import { NAMESPACE_METRICS, type NamespaceMetrics } from "../namespaces/metrics.ts";
import { REAPER_METRICS, type ReaperMetrics } from "../reaper/metrics.ts";
import { DAEMON_METRICS, type DaemonMetrics } from "./daemon-metrics.ts";

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

/** What the daemon's parts say of themselves. */
export interface MeasuredStatus {
  readonly version: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  /** How system calls are made; `ffi-rs` where there was no compiler, and slower. */
  readonly systemCalls: typeof callEngine;
  readonly configuration: ConfigurationStatus;
  /** Whether cgroups are to be reaped, as configured. */
  readonly isReaping: boolean;
  readonly daemon: DaemonMetrics;
  readonly namespace: NamespaceMetrics;
  /** Undefined while its thread does not run. */
  readonly reaper?: ReaperMetrics | undefined;
  /** Undefined if no cgroups are reaped. */
  readonly accounting?: AccountingMetrics | undefined;
  /** Where records of cgroups wait; undefined as `accounting`. */
  readonly journal?: JournalStatus | undefined;
  /** Undefined as `accounting`. */
  readonly script?: ScriptStatus | undefined;
  /** Undefined if the configuration says that there are none. */
  readonly metrics?: MetricsStatus | undefined;
}

/** As `cm4all-spawn status --json` prints it; operator/schemas.ts describes it. */
export interface DaemonStatus extends MeasuredStatus {
  readonly state: "well" | "degraded";
  /** What is to be looked at, the worst first. */
  readonly problems: readonly string[];
}

/** What a daemon of an earlier version does not say. */
type Added = "state" | "problems" | "configuration";

/**
 * Fills in what a daemon of an earlier version does not say of itself: that it is one, which is
 * so between an upgrade of the package and the restart. Pure.
 */
export function completeStatus(
  status: Omit<DaemonStatus, Added> & Partial<Pick<DaemonStatus, Added>>,
): DaemonStatus {
  const {
    state = "degraded",
    problems = ["the daemon is older than this command, until it is restarted"],
    configuration = { file: "not told", waitsForRestart: [] },
  } = status;
  return { ...status, state, problems, configuration };
}

/** The status for people, from the headline on: what asks for something first. Pure. */
export function formatStatus(status: DaemonStatus): Row[] {
  const { version, pid, uptimeSeconds, systemCalls, accounting, journal, script } = status;
  const uptime = formatDuration(uptimeSeconds);
  const rows: Row[] = [["daemon", `cm4all-spawn ${version}, pid ${pid}, up ${uptime}`]];
  if (accounting !== undefined) rows.push(...formatMetrics(PARTS.accounting, accounting));
  if (script !== undefined) rows.push(...formatScript(script));
  if (journal !== undefined) rows.push(["journal in", formatJournal(journal)]);
  rows.push(...formatMetrics(PARTS.namespace, status.namespace));
  if (accounting === undefined) rows.push(["cgroups", "not reaped"]);
  else if (status.reaper === undefined) rows.push(["cgroups", "the reaper does not run"]);
  else rows.push(...formatMetrics(PARTS.reaper, status.reaper));
  rows.push(["system calls", `through ${systemCalls === "addon" ? "the addon" : "ffi-rs"}`]);
  rows.push(...formatMetrics(PARTS.daemon, status.daemon));
  rows.push(["read from", formatConfiguration(status.configuration)]);
  if (status.metrics !== undefined) rows.push(["metrics", formatEndpoint(status.metrics)]);
  return rows;
}

/** One line that says whether all is well, and what is not. Pure. */
export function formatHeadline({ state, problems }: DaemonStatus): string {
  return state === "well" ? "well" : `degraded: ${problems.join("; ")}`;
}

function formatScript({ path, problem, isOutdated, lastFailure }: ScriptStatus): Row[] {
  const text = path ?? "none";
  const outdated = isOutdated ? " (changed since it was loaded: a restart loads it)" : "";
  const rows: Row[] = [["script", problem === undefined ? text + outdated : `${text}: ${problem}`]];
  if (lastFailure !== undefined) {
    const { cgroup, message, failedMs } = lastFailure;
    rows.push(["failed last", `${formatTime(failedMs)} ${cgroup}: ${message}`]);
  }
  return rows;
}

/** UTC, to the second. */
function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

function formatJournal({ path, forgetful, problem }: JournalStatus): string {
  const place = forgetful === undefined ? path : `${path} (${forgetful}: may be lost at a restart)`;
  return problem === undefined ? place : `${place}: ${problem}`;
}

function formatConfiguration({ file, problem, waitsForRestart }: ConfigurationStatus): string {
  if (problem !== undefined) return `${file}: ${problem}`;
  if (waitsForRestart.length === 0) return file;
  return `${file}; only a restart applies ${waitsForRestart.join(", ")}`;
}

function formatEndpoint({ address, isListening, problem }: MetricsStatus): string {
  if (isListening) return `at ${address}`;
  return `not reachable at ${address}: ${problem ?? "not listening yet"}`;
}
