/** What the reaper and the accounting show. Pure. */

import { textOf } from "@cm4all/linux";
import type { CgroupServiceStatus } from "../cgroup-service.ts";
import type { ReaperStatus } from "../reaper/messages.ts";
import type { Metric, Sample } from "./daemon-metrics.ts";

function metric(type: "counter" | "gauge", name: string, help: string, value: number): Metric {
  return { name: `cm4all_spawn_${name}`, type, help, samples: [[{}, value]] };
}

export function cgroupMetrics({ reaper, accounting: a }: CgroupServiceStatus): Metric[] {
  return [
    ...(reaper === undefined ? [] : reaperMetrics(reaper)),
    metric(
      "gauge",
      "accounting_ready",
      "Whether handlers can be called.",
      Number(a.state === "ready"),
    ),
    metric(
      "gauge",
      "accounting_waiting",
      "Cgroups that wait for their handler's success.",
      a.waiting,
    ),
    metric(
      "gauge",
      "accounting_running",
      "Handlers that were called and have not returned.",
      a.running,
    ),
    metric(
      "counter",
      "cgroups_accounted_total",
      "Handlers that returned without an error.",
      a.accounted,
    ),
    metric("counter", "handler_failures_total", "Handlers that failed.", a.failed),
    metric("counter", "handler_retries_total", "How often a handler was called again.", a.retried),
    metric("counter", "cgroups_lost_total", "Cgroups given up without being accounted.", a.lost),
    metric(
      "counter",
      "handler_seconds_total",
      "Time in handlers, most of which they wait.",
      a.handlerMs / 1000,
    ),
  ];
}

function reaperMetrics(r: ReaperStatus): Metric[] {
  return [
    metric("gauge", "cgroups_watched", "Managed cgroups.", r.watched),
    metric("gauge", "cgroups_unwatched", "Cgroups that the kernel gave no watch for.", r.unwatched),
    metric(
      "counter",
      "cgroups_reaped_total",
      "Cgroups that ran empty and were measured.",
      r.released,
    ),
    metric("counter", "cgroups_deleted_total", "Cgroups that were deleted.", r.deleted),
    metric(
      "counter",
      "cgroups_vanished_total",
      "Cgroups that others removed before they were measured.",
      r.vanished,
    ),
    metric("counter", "cgroup_rescans_total", "How often the kernel lost events.", r.rescans),
    metric(
      "counter",
      "cgroup_missed_total",
      "Changes that only the periodic check found.",
      r.missed,
    ),
    metric(
      "gauge",
      "reaper_longest_turn_seconds",
      "The longest that the reaper has worked without looking for the next event.",
      r.longestTurnMs / 1000,
    ),
    {
      name: "cm4all_spawn_cgroup_cpu_seconds_total",
      type: "counter",
      help: "CPU time of reaped cgroups.",
      samples: r.scopes.map(({ path, cpuUsec }) => [{ scope: textOf(path) }, cpuUsec / 1e6]),
    },
    {
      name: "cm4all_spawn_cgroup_memory_peak_bytes_total",
      type: "counter",
      help: "The sum of the memory peaks of reaped cgroups.",
      samples: r.scopes.flatMap(({ path, memoryPeakBytes }): Sample[] =>
        memoryPeakBytes === undefined ? [] : [[{ scope: textOf(path) }, memoryPeakBytes]],
      ),
    },
  ];
}
