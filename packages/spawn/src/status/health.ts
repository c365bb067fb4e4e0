/** Finds out whether a running daemon is degraded, and describes why. Pure. */
import { amount, amountIs, inOneLine } from "@cm4all/command";
import type { AccountingMetrics } from "../accounting/terms/metrics.ts";
import type { NamespaceMetrics } from "../namespaces/metrics.ts";
import type { ReaperMetrics } from "../reaper/metrics.ts";
import type { MeasuredStatus } from "./status.ts";

/** If at least this share of a limit is used, that is a problem. */
const NEARLY = 0.9;

/**
 * Returns the problems that an administrator should look at, the worst first; an empty list if
 * all is well. Each problem is one line, without an initial capital letter or a full stop.
 */
export function findProblems(status: MeasuredStatus): string[] {
  const { accounting, reaper, metrics } = status;
  return [
    ...(accounting === undefined ? [] : accountingProblems(status, accounting)),
    ...(status.isReaping && accounting === undefined
      ? ["no cgroups are reaped: cgroup2 is not mounted"]
      : []),
    ...(accounting !== undefined && reaper === undefined
      ? ["cgroups are not watched: the reaper's thread is not running"]
      : []),
    ...(reaper === undefined ? [] : reaperProblems(reaper)),
    ...namespaceProblems(status.namespace),
    ...configurationProblems(status),
    ...(metrics === undefined || metrics.isListening || metrics.problem === undefined
      ? []
      : [`metrics are not reachable: ${inOneLine(metrics.problem)}`]),
  ];
}

function accountingProblems(
  { script, journal }: MeasuredStatus,
  metrics: AccountingMetrics,
): string[] {
  const problems: string[] = [];
  const because = (reason: string | undefined) =>
    reason === undefined ? "" : `: ${inOneLine(reason)}`;
  if (journal?.problem !== undefined)
    problems.push(
      `the journal takes no records, so no cgroups are deleted${because(journal.problem)}`,
    );
  if (metrics.script === "down")
    problems.push(`the accounting script is not running${because(script?.problem)}`);
  if (metrics.handlers === "failing")
    problems.push(`no handler succeeds${because(script?.lastFailure?.message)}`);
  else if (metrics.failingCgroups > 0)
    problems.push(
      `the handlers of ${amount(metrics.failingCgroups, "cgroup")} fail${because(script?.lastFailure?.message)}`,
    );
  if (metrics.parkedCgroups > 0)
    problems.push(
      `${amountIs(metrics.parkedCgroups, "cgroup")} parked, see "cm4all-spawn accounting list"`,
    );
  if (metrics.script === "idle" && metrics.waitingCgroups > 0)
    problems.push(`${amountIs(metrics.waitingCgroups, "cgroup")} waiting, and there is no handler`);
  if (metrics.unreadableRecords > 0)
    problems.push(`${amount(metrics.unreadableRecords, "record")} cannot be read from the disk`);
  if (metrics.damagedFiles > 0)
    problems.push(`${amountIs(metrics.damagedFiles, "file")} damaged in the journal, see the log`);
  const { journalBytes, journalLimitBytes } = metrics;
  if (journal?.problem === undefined && journalBytes >= journalLimitBytes * NEARLY)
    problems.push(
      `the journal is filled to ${percent(journalBytes, journalLimitBytes)} of journal_mib`,
    );
  return problems;
}

/**
 * Returns the reaper's problem, if there is one. It names no limit, because only the log says what
 * is short: watches, descriptors or memory.
 */
function reaperProblems({ unwatchedDirectories }: ReaperMetrics): string[] {
  if (unwatchedDirectories === 0) return [];
  const count_ = unwatchedDirectories === 1 ? "1 directory" : `${unwatchedDirectories} directories`;
  return [`the kernel refuses watches for ${count_}, see the log`];
}

function namespaceProblems(metrics: NamespaceMetrics): string[] {
  const bounds: readonly (readonly [text: string, key: string, used: number, limit: number])[] = [
    ["names", "max_names", metrics.names, metrics.namesLimit],
    ["names of one uid", "max_names_per_uid", metrics.namesOfOneUid, metrics.namesPerUidLimit],
    ["user namespaces", "max_user_namespaces", metrics.kept.user, metrics.userNamespacesLimit],
    ["connections", "max_connections", metrics.admittedConnections, metrics.connectionsLimit],
    [
      "connections of one uid",
      "max_connections_per_uid",
      metrics.connectionsOfOneUid,
      metrics.connectionsPerUidLimit,
    ],
  ];
  return bounds.flatMap(([text, key, used, limit]) =>
    used >= limit * NEARLY ? [`${used} ${text} of at most ${limit}, see ${key}`] : [],
  );
}

/** Returns problems with the configuration. Changes that wait for a restart are not problems. */
function configurationProblems({ daemon, configuration }: MeasuredStatus): string[] {
  const state = daemon.configuration;
  if (state !== "changed" && state !== "refused") return [];
  const older = "the configuration in force is an older one";
  const { problem } = configuration;
  if (problem !== undefined) return [`${older}: ${inOneLine(problem)}`];
  return [`${older}: ${configuration.file} was changed, see "cm4all-spawn reload"`];
}

function percent(part: number, whole: number): string {
  return `${Math.floor((part / whole) * 100)} %`;
}
