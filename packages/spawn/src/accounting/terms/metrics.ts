/** The metrics of accounting, from the release of a cgroup to the handlers of the script. */
import type { Declarations, Gauges, Values } from "../../metrics/declaration.ts";

export const ACCOUNTING_METRICS = {
  script: {
    kind: "state",
    help: "Whether handlers can be called.",
    states: {
      starting: "is starting",
      ready: "is ready",
      down: "is not running",
      idle: "has no handler",
    },
    row: "accounting",
    text: "script {}",
  },
  waitingCgroups: {
    kind: "gauge",
    help: "Cgroups in the journal that are not accounted yet: their handlers are running or will be called.",
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
    help: "Cgroups in the journal that an administrator has to decide on.",
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
    help: "Cgroups that are not accounted: they became empty before it was known whether there is a handler, and there is none.",
    row: "accounting",
    text: "{} without a handler",
  },
  handlers: {
    kind: "state",
    help: "Whether handlers succeed. While none succeeds, the state is failing, and handlers are called one at a time.",
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
  runningHandlersLimit: {
    kind: "gauge",
    help: "The value of max_running; after a reload, handlers of the earlier script may run in addition.",
    row: "handlers",
    text: "of at most {}",
  },
  begunCgroups: {
    kind: "gauge",
    help: "Waiting cgroups whose handler is running and may have had an effect.",
    row: "handlers",
    text: "{} begun",
  },
  failingCgroups: {
    kind: "gauge",
    help: "Waiting cgroups whose handlers fail while other handlers succeed; they are called again after pauses.",
    row: "handlers",
    text: "{} cgroups fail",
    textOfOne: "{} cgroup fails",
  },
  failedHandlers: {
    kind: "counter",
    help: "Handlers that failed.",
    row: "handlers",
    text: "{} failed",
  },
  retriedHandlers: {
    kind: "counter",
    help: "Calls of a handler after the first call for the same cgroup.",
    row: "handlers",
    text: "{} called again",
  },
  lostCgroups: {
    kind: "counter",
    help: "Cgroups that are not accounted: an administrator dropped them, or their handlers failed and retry is off.",
    row: "handlers",
    text: "{} lost",
  },
  handlerSeconds: {
    kind: "counter",
    help: "Total time from the call of each handler to its return; handlers spend most of it waiting.",
    unit: "seconds",
    row: "handlers",
    text: "{} in all",
  },
  interimReports: {
    kind: "counter",
    help: "Reports of cgroups in use that were passed to the script.",
    row: "handlers",
    text: "{} interim reports",
    textOfOne: "{} interim report",
  },
  hostRestarts: {
    kind: "counter",
    help: "Number of times that the script host ended by itself and was started again.",
    row: "handlers",
    text: "{} restarts of the script host",
    textOfOne: "{} restart of the script host",
  },
  journal: {
    kind: "state",
    help: "Whether the journal takes records; while it takes none, no cgroup is deleted.",
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
    help: "Records in the journal that are still needed.",
    row: "journal",
    text: "{} records",
    textOfOne: "{} record",
  },
  unreadableRecords: {
    kind: "gauge",
    help: "Records that cannot be read from the disk; each is read again after a pause.",
    row: "journal",
    text: "{} unreadable",
  },
  damagedFiles: {
    kind: "gauge",
    help: "Journal files that are partly damaged; they are kept, and their intact records are used.",
    row: "journal",
    text: "{} damaged files",
    textOfOne: "{} damaged file",
  },
  journalBytes: {
    kind: "gauge",
    help: "Size of the journal on disk.",
    unit: "bytes",
    row: "journal",
    text: "{}",
  },
  journalLimitBytes: {
    kind: "gauge",
    help: "The size limit of the journal.",
    unit: "bytes",
    row: "journal",
    text: "of at most {}",
  },
} as const satisfies Declarations;

/** The values of all metrics of accounting. */
export type AccountingMetrics = Values<typeof ACCOUNTING_METRICS>;

type AccountingGauges = Gauges<typeof ACCOUNTING_METRICS>;

export type JournalState = AccountingGauges["journal"];

/** The metrics that need neither the script's process nor the disk. */
export type QueueMetrics = Omit<AccountingMetrics, "oldestWaitingSeconds" | "hostRestarts">;

/** The metrics of the journal and its records. */
export type JournalGauges = Omit<
  AccountingGauges,
  | "script"
  | "oldestWaitingSeconds"
  | "handlers"
  | "runningHandlers"
  | "runningHandlersLimit"
  | "failingCgroups"
  | "unreadableRecords"
>;
