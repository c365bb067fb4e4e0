/** The status of the daemon, and its text for people. */
import { inOneLine, printable } from "@cm4all/command";
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

/**
 * The declarations of all metrics, by part of the daemon: the names of metrics and the keys in JSON
 * begin with the part.
 */
export const PARTS = {
  daemon: DAEMON_METRICS,
  namespace: NAMESPACE_METRICS,
  reaper: REAPER_METRICS,
  accounting: ACCOUNTING_METRICS,
} as const satisfies { readonly [part: string]: Declarations };

export type Part = keyof typeof PARTS;

/** The values of all parts, of any shape; undefined for a part that is not running. */
export type PartValues = {
  readonly [P in Part]?: { readonly [key: string]: AnyValue } | undefined;
};

/** Calls `visit` for each declared metric. */
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

/** The state of the endpoint from which metrics can be fetched. */
export interface MetricsStatus {
  /** The configured address. */
  readonly address: string;
  readonly isListening: boolean;
  /** The last failure to listen; undefined before the first failure and while it listens. */
  readonly problem?: string | undefined;
}

/** The status as the parts of the daemon report it. */
export interface MeasuredStatus {
  readonly version: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  /** How system calls are made. `ffi-rs` is slower; it is used if the build had no C compiler. */
  readonly systemCalls: typeof callEngine;
  readonly configuration: ConfigurationStatus;
  /** True if the configuration enables the reaper. */
  readonly isReaping: boolean;
  readonly daemon: DaemonMetrics;
  readonly namespace: NamespaceMetrics;
  /** Undefined while the reaper's thread is not running. */
  readonly reaper?: ReaperMetrics | undefined;
  /** Undefined if no cgroups are reaped. */
  readonly accounting?: AccountingMetrics | undefined;
  /** The journal, in which records of cgroups wait; undefined if `accounting` is undefined. */
  readonly journal?: JournalStatus | undefined;
  /** Undefined if `accounting` is undefined. */
  readonly script?: ScriptStatus | undefined;
  /** Undefined if no address for metrics is configured. */
  readonly metrics?: MetricsStatus | undefined;
}

/** The status that `cm4all-spawn status --json` prints. operator/schemas.ts has its schema. */
export interface DaemonStatus extends MeasuredStatus {
  readonly state: "well" | "degraded";
  /** See `findProblems`. */
  readonly problems: readonly string[];
}

/** The fields that a daemon of an earlier version does not send. */
type Added = "state" | "problems" | "configuration";

/**
 * Fills in the fields that a daemon of an earlier version does not send, and adds the problem that
 * the daemon is older. Such a daemon runs between an upgrade of the package and the restart. Pure.
 */
export function completeStatus(
  status: Omit<DaemonStatus, Added> & Partial<Pick<DaemonStatus, Added>>,
): DaemonStatus {
  const {
    state = "degraded",
    problems = ["the daemon is older than this command: restart it"],
    configuration = { file: "unknown", waitsForRestart: [] },
  } = status;
  return { ...status, state, problems, configuration };
}

/**
 * Returns the rows of the status for people, which follow the headline. All strings are
 * made printable, because names and errors may come from scripts, and even from users. Pure.
 */
export function formatStatus(status: DaemonStatus): Row[] {
  return rowsOf(status).map(([title, text]) => [title, inOneLine(text)]);
}

function rowsOf(status: DaemonStatus): Row[] {
  const { version, pid, uptimeSeconds, systemCalls, accounting, journal, script } = status;
  const uptime = formatDuration(uptimeSeconds);
  const rows: Row[] = [["daemon", `cm4all-spawn ${version}, pid ${pid}, up ${uptime}`]];
  if (accounting !== undefined) rows.push(...formatMetrics(PARTS.accounting, accounting));
  if (script !== undefined) rows.push(...formatScript(script));
  if (journal !== undefined) rows.push(["journal in", formatJournal(journal)]);
  rows.push(...formatMetrics(PARTS.namespace, status.namespace));
  if (accounting === undefined) rows.push(["cgroups", "not reaped"]);
  else if (status.reaper === undefined) rows.push(["cgroups", "the reaper is not running"]);
  else rows.push(...formatMetrics(PARTS.reaper, status.reaper));
  rows.push(["system calls", `through ${systemCalls === "addon" ? "the addon" : "ffi-rs"}`]);
  rows.push(...formatMetrics(PARTS.daemon, status.daemon));
  rows.push(["read from", formatConfiguration(status.configuration)]);
  if (status.metrics !== undefined) rows.push(["metrics", formatEndpoint(status.metrics)]);
  return rows;
}

/** Returns a printable line: "well", or "degraded" and the problems. Pure. */
export function formatHeadline({ state, problems }: DaemonStatus): string {
  return state === "well" ? "well" : `degraded: ${printable(problems.join("; "))}`;
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

/** Formats a time in UTC, to the second. @param ms since 1970 */
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
