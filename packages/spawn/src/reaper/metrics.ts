/** The metrics of the reaper. */
import type { Counts, Declarations, Gauges, Values } from "../metrics/declaration.ts";
import { TURN_BOUNDS } from "../thread/turns.ts";

const MIB = 2 ** 20;

/** The metrics; the counters start again when the thread does. */
export const REAPER_METRICS = {
  scopes: {
    kind: "gauge",
    help: "Scopes that are there; without one, nothing can be accounted.",
    row: "cgroups",
    text: "{} scopes",
  },
  watchedCgroups: {
    kind: "gauge",
    help: "Managed cgroups that are known.",
    row: "cgroups",
    text: "{} watched",
  },
  waitingCgroups: {
    kind: "gauge",
    help: "Cgroups that ran empty and are kept until they are in the journal.",
    row: "cgroups",
    text: "{} wait for the journal",
  },
  releasedCgroups: {
    kind: "counter",
    help: "How often a cgroup ran empty and was measured.",
    row: "reaped",
    text: "{} measured",
  },
  deletedCgroups: {
    kind: "counter",
    help: "Cgroups that were deleted.",
    row: "reaped",
    text: "{} deleted",
  },
  vanishedCgroups: {
    kind: "counter",
    help: "Cgroups that others removed before they were measured.",
    row: "reaped",
    text: "{} vanished",
  },
  lostVanishedCgroups: {
    kind: "counter",
    help: "Of the vanished cgroups, those that are not accounted: too many waited for the journal.",
    row: "reaped",
    text: "{} of them lost",
  },
  unseenCgroups: {
    kind: "counter",
    help: "Cgroups that others removed before they were seen to be used, if they were.",
    row: "reaped",
    text: "{} gone unseen",
  },
  repopulatedCgroups: {
    kind: "counter",
    help: "How often a cgroup ran again before it was deleted.",
    row: "reaped",
    text: "{} ran again",
  },
  scopeCpuSeconds: {
    kind: "counter",
    help: "CPU time of reaped cgroups, by the scope that they were in; (gone) has those of scopes that are gone.",
    unit: "seconds",
    label: "scope",
    row: "used",
    text: "{} of CPU time",
  },
  scopeMemoryPeakBytes: {
    kind: "histogram",
    help: "The most memory that a cgroup had, each time that one directly below the scope was reaped.",
    unit: "bytes",
    label: "scope",
    bounds: [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536].map((mib) => mib * MIB),
    row: "used",
    text: "{} of memory at most, on average",
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
    help: "Processes of reaped cgroups that were killed for want of memory, by scope.",
    label: "scope",
    row: "at limits",
    text: "{} processes killed for want of memory",
  },
  scopeRefusedForks: {
    kind: "counter",
    help: "How often a fork in a reaped cgroup was refused because of pids.max, by scope.",
    label: "scope",
    row: "at limits",
    text: "{} forks refused",
  },
  inotifyWatches: {
    kind: "gauge",
    help: "Watches of inotify that are in use.",
    row: "watching",
    text: "{} watches",
  },
  unwatchedDirectories: {
    kind: "gauge",
    help: "Directories that the kernel gave no watch for.",
    row: "watching",
    text: "{} refused",
  },
  rescans: {
    kind: "counter",
    help: "How often the kernel lost events and everything was compared.",
    row: "watching",
    text: "{} rescans",
  },
  missedChanges: {
    kind: "counter",
    help: "Changes that only the periodic check found.",
    row: "watching",
    text: "{} changes missed",
  },
  turnSeconds: {
    kind: "histogram",
    help: "How long the thread of the reaper worked before it looked for the next event.",
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
