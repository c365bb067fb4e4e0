/** The metrics of the reaper. */
import type { Counts, Declarations, Gauges, Values } from "../metrics/declaration.ts";
import { TURN_BOUNDS } from "../thread/turns.ts";

const MIB = 2 ** 20;

/** The metrics. The counters start from 0 when the thread is started again. */
export const REAPER_METRICS = {
  scopes: {
    kind: "gauge",
    help: "Scopes that exist; without a scope, nothing can be accounted.",
    row: "cgroups",
    text: "{} scopes",
    textOfOne: "{} scope",
  },
  watchedCgroups: {
    kind: "gauge",
    help: "Cgroups that the reaper watches below the scopes.",
    row: "cgroups",
    text: "{} watched",
  },
  waitingCgroups: {
    kind: "gauge",
    help: "Cgroups that have become empty and are kept until their records are in the journal.",
    row: "cgroups",
    text: "{} wait for the journal",
    textOfOne: "{} waits for the journal",
  },
  releasedCgroups: {
    kind: "counter",
    help: "Number of times that a cgroup became empty and was measured.",
    row: "reaped",
    text: "{} measured",
  },
  deletedCgroups: {
    kind: "counter",
    help: "Cgroups that the daemon deleted.",
    row: "reaped",
    text: "{} deleted",
  },
  vanishedCgroups: {
    kind: "counter",
    help: "Cgroups that had been used, and that another program removed before the daemon measured them.",
    row: "reaped",
    text: "{} vanished",
  },
  lostVanishedCgroups: {
    kind: "counter",
    help: "Vanished cgroups that are not accounted, because too many records waited for the journal.",
    row: "reaped",
    text: "{} of them lost",
  },
  unseenCgroups: {
    kind: "counter",
    help: "Cgroups that another program removed, and that the daemon had not seen in use.",
    row: "reaped",
    text: "{} removed unseen",
  },
  repopulatedCgroups: {
    kind: "counter",
    help: "Number of times that a cgroup was populated again before it was deleted.",
    row: "reaped",
    text: "{} ran again",
  },
  scopeCpuSeconds: {
    kind: "counter",
    help: "CPU time of reaped cgroups, by scope; (gone) stands for all scopes that no longer exist.",
    unit: "seconds",
    label: "scope",
    row: "used",
    text: "{} of CPU time",
  },
  scopeMemoryPeakBytes: {
    kind: "histogram",
    help: "Peak memory usage of the cgroups directly below the scope, observed when they are reaped.",
    unit: "bytes",
    label: "scope",
    bounds: [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536].map((mib) => mib * MIB),
    row: "used",
    text: "{} of peak memory, on average",
  },
  scopeReadBytes: {
    kind: "counter",
    help: "Bytes that reaped cgroups have read from block devices, by scope.",
    unit: "bytes",
    label: "scope",
    row: "used",
    text: "{} read",
  },
  scopeWrittenBytes: {
    kind: "counter",
    help: "Bytes that reaped cgroups have written to block devices, by scope.",
    unit: "bytes",
    label: "scope",
    row: "used",
    text: "{} written",
  },
  scopeOomKills: {
    kind: "counter",
    help: "Processes of reaped cgroups that were killed for lack of memory, by scope.",
    label: "scope",
    row: "at limits",
    text: "{} processes killed for lack of memory",
    textOfOne: "{} process killed for lack of memory",
  },
  scopeRefusedForks: {
    kind: "counter",
    help: "Forks in reaped cgroups that were refused because of pids.max, by scope.",
    label: "scope",
    row: "at limits",
    text: "{} forks refused",
    textOfOne: "{} fork refused",
  },
  inotifyWatches: {
    kind: "gauge",
    help: "Inotify watches that are in use.",
    row: "watching",
    text: "{} watches",
    textOfOne: "{} watch",
  },
  unwatchedDirectories: {
    kind: "gauge",
    help: "Directories for which the kernel refused an inotify watch.",
    row: "watching",
    text: "{} refused",
  },
  rescans: {
    kind: "counter",
    help: "Number of times that the kernel lost events and all directories were scanned again.",
    row: "watching",
    text: "{} rescans",
    textOfOne: "{} rescan",
  },
  missedChanges: {
    kind: "counter",
    help: "Changes to cgroups that only the periodic check found, because events were missed.",
    row: "watching",
    text: "{} changes missed",
    textOfOne: "{} change missed",
  },
  turnSeconds: {
    kind: "histogram",
    help: "Time that the thread of the reaper worked before it waited for the next event.",
    unit: "seconds",
    bounds: TURN_BOUNDS,
    row: "reaper thread",
    text: "{} a turn, on average",
  },
} as const satisfies Declarations;

/** The values of the metrics, as they are shown. */
export type ReaperMetrics = Values<typeof REAPER_METRICS>;

export type ReaperGauges = Gauges<typeof REAPER_METRICS>;

/** The counters, shared by everything on the reaper's thread that counts. */
export type ReaperCounts = Counts<typeof REAPER_METRICS>;
