/** What is counted and measured between the reaper and the handlers of the script. */
import type { Declarations, Gauges, Values } from "../../metrics/declaration.ts";

export const ACCOUNTING_METRICS = {
  script: {
    kind: "state",
    help: "Whether handlers can be called.",
    states: {
      starting: "is starting",
      ready: "is ready",
      down: "does not run",
      idle: "has no handler",
    },
    row: "accounting",
    text: "script {}",
  },
  waitingCgroups: {
    kind: "gauge",
    help: "Cgroups in the journal whose handler has not returned without an error yet.",
    row: "accounting",
    text: "{} waiting",
  },
  oldestWaitingSeconds: {
    kind: "gauge",
    help: "Time since the oldest waiting cgroup was measured; 0 if none waits.",
    unit: "seconds",
    row: "accounting",
    text: "the oldest for {}",
  },
  parkedCgroups: {
    kind: "gauge",
    help: "Cgroups in the journal that wait for a decision of an administrator.",
    row: "accounting",
    text: "{} parked",
  },
  accountedCgroups: {
    kind: "counter",
    help: "Cgroups whose handler returned without an error.",
    row: "accounting",
    text: "{} accounted",
  },
  supersededReports: {
    kind: "counter",
    help: "Reports that were replaced by a later report of the same cgroup before they were accounted.",
    row: "accounting",
    text: "{} superseded by a later report",
  },
  unaccountedCgroups: {
    kind: "counter",
    help: "Cgroups that were handed to the script before it turned out to have no handler.",
    row: "accounting",
    text: "{} without a handler",
  },
  handlers: {
    kind: "state",
    help: "Whether handlers succeed; failing if none does and they are tried one at a time.",
    states: { succeeding: "succeed", failing: "all fail" },
    row: "handlers",
    text: "{}",
  },
  runningHandlers: {
    kind: "gauge",
    help: "Handlers that have been called and have not returned.",
    row: "handlers",
    text: "{} running",
  },
  begunCgroups: {
    kind: "gauge",
    help: "Waiting cgroups whose handler is running and may have had an effect.",
    row: "handlers",
    text: "{} begun",
  },
  failingCgroups: {
    kind: "gauge",
    help: "Waiting cgroups whose handler fails while others succeed, and is called again after a pause.",
    row: "handlers",
    text: "{} cgroups fail",
  },
  failedHandlers: {
    kind: "counter",
    help: "Handlers that failed.",
    row: "handlers",
    text: "{} failed",
  },
  retriedHandlers: {
    kind: "counter",
    help: "Number of times that a handler was called again.",
    row: "handlers",
    text: "{} called again",
  },
  lostCgroups: {
    kind: "counter",
    help: "Cgroups that were not accounted: dropped by an administrator, or failed without retry.",
    row: "handlers",
    text: "{} cgroups lost",
  },
  handlerSeconds: {
    kind: "counter",
    help: "Time from the call of handlers to their return, including the time that they wait.",
    unit: "seconds",
    row: "handlers",
    text: "{} in all",
  },
  interimReports: {
    kind: "counter",
    help: "Running cgroups that were handed to the script.",
    row: "handlers",
    text: "{} interim reports",
  },
  hostRestarts: {
    kind: "counter",
    help: "Number of times that the script's process ended by itself and was started again.",
    row: "handlers",
    text: "{} ends of the script host",
  },
  journal: {
    kind: "state",
    help: "Whether the journal can be written; if not, cgroups' directories stay.",
    states: {
      opening: "is being opened",
      ready: "takes records",
      full: "is full",
      failing: "cannot be written",
      unavailable: "cannot be opened",
    },
    row: "journal",
    text: "{}",
  },
  journalRecords: {
    kind: "gauge",
    help: "Records in the journal that have not been accounted or dropped.",
    row: "journal",
    text: "{} records",
  },
  unreadableRecords: {
    kind: "gauge",
    help: "Records that cannot be read from the disk; each is tried again after pauses.",
    row: "journal",
    text: "{} unreadable",
  },
  damagedFiles: {
    kind: "gauge",
    help: "Files of the journal that are partly unreadable; they are kept, and the rest is used.",
    row: "journal",
    text: "{} damaged files",
  },
  journalBytes: {
    kind: "gauge",
    help: "Size of the journal on the disk.",
    unit: "bytes",
    row: "journal",
    text: "{}",
  },
  journalLimitBytes: {
    kind: "gauge",
    help: "The maximum size of the journal.",
    unit: "bytes",
    row: "journal",
    text: "of at most {}",
  },
} as const satisfies Declarations;

/** As they are shown. */
export type AccountingMetrics = Values<typeof ACCOUNTING_METRICS>;

type AccountingGauges = Gauges<typeof ACCOUNTING_METRICS>;

export type JournalState = AccountingGauges["journal"];

/** Those that are measured without asking the script's process or the disk. */
export type QueueMetrics = Omit<AccountingMetrics, "oldestWaitingSeconds" | "hostRestarts">;

/** Those that the journal knows. */
export type JournalGauges = Omit<
  AccountingGauges,
  | "script"
  | "oldestWaitingSeconds"
  | "handlers"
  | "runningHandlers"
  | "failingCgroups"
  | "unreadableRecords"
>;
