/** What is counted and measured between the reaper and the handlers of the script. */
import type { Declarations, Gauges, Values } from "../metrics/declaration.ts";

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
    help: "Cgroups whose handler has not returned without an error yet.",
    row: "accounting",
    text: "{} waiting",
  },
  runningHandlers: {
    kind: "gauge",
    help: "Handlers that were called and have not returned.",
    row: "accounting",
    text: "{} running",
  },
  accountedCgroups: {
    kind: "counter",
    help: "Handlers that returned without an error.",
    row: "accounting",
    text: "{} accounted",
  },
  supersededReports: {
    kind: "counter",
    help: "Reports that a later one of the same cgroup replaced before they were accounted.",
    row: "accounting",
    text: "{} superseded by a later report",
  },
  failedHandlers: {
    kind: "counter",
    help: "Handlers that failed.",
    row: "handlers",
    text: "{} failed",
  },
  retriedHandlers: {
    kind: "counter",
    help: "How often a handler was called again.",
    row: "handlers",
    text: "{} called again",
  },
  lostCgroups: {
    kind: "counter",
    help: "Cgroups given up without being accounted.",
    row: "handlers",
    text: "{} cgroups lost",
  },
  handlerSeconds: {
    kind: "counter",
    help: "Time from the call of handlers to their return; most of it they wait.",
    unit: "seconds",
    row: "handlers",
    text: "{} in all",
  },
} as const satisfies Declarations;

/** As they are shown. */
export type AccountingMetrics = Values<typeof ACCOUNTING_METRICS>;

export type AccountingGauges = Gauges<typeof ACCOUNTING_METRICS>;
