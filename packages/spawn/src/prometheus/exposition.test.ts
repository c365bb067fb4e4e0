import { expect, it } from "vitest";
import { sampleStatus } from "../../test/support/status.ts";
import { zeroCounts } from "../metrics/declaration.ts";
import { REAPER_METRICS, type ReaperMetrics } from "../reaper/metrics.ts";
import type { DaemonStatus } from "../status/status.ts";
import { Exposition } from "./exposition.ts";

const reaper: ReaperMetrics = {
  ...zeroCounts(REAPER_METRICS),
  scopes: 1,
  watchedCgroups: 1,
  waitingCgroups: 0,
  inotifyWatches: 2,
  unwatchedDirectories: 0,
  deletedCgroups: 3,
  scopeCpuSeconds: { "/a.scope": 1.5 },
  scopeMemoryPeakBytes: { "/a.scope": { bounds: [10, 20], counts: [1, 2, 3], sum: 100 } },
};

function status(more: Partial<DaemonStatus>): DaemonStatus {
  return { ...sampleStatus(), reaper: undefined, ...more };
}

/** Returns the series of the reaper, without those of the turns of its event loop. */
const reaperSeries = (text: string) =>
  text
    .split("\n")
    .filter((line) => line.startsWith("cm4all_spawn_reaper_") && !line.includes("_turn_"));

it("the names of metrics contain the word cgroups only at the end or before _total", async () => {
  const { text } = await new Exposition(async () => status({ reaper })).render();
  const names = [...text.matchAll(/^# TYPE (\w+)/gm)].map(([, name = ""]) => name);
  expect(names.filter((name) => /cgroup/.test(name))).not.toEqual([]);
  expect(names.filter((name) => /cgroup(?!s(?:_total)?$)/.test(name))).toEqual([]);
});

it("shows the current values, and nothing of a part that is not running", async () => {
  let current = status({ reaper });
  const exposition = new Exposition(async () => current);
  const { contentType, text } = await exposition.render();
  expect(contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(reaperSeries(text)).toEqual([
    "cm4all_spawn_reaper_scopes 1",
    "cm4all_spawn_reaper_watched_cgroups 1",
    "cm4all_spawn_reaper_waiting_cgroups 0",
    "cm4all_spawn_reaper_released_cgroups_total 0",
    "cm4all_spawn_reaper_deleted_cgroups_total 3",
    "cm4all_spawn_reaper_vanished_cgroups_total 0",
    "cm4all_spawn_reaper_lost_vanished_cgroups_total 0",
    "cm4all_spawn_reaper_unseen_cgroups_total 0",
    "cm4all_spawn_reaper_repopulated_cgroups_total 0",
    'cm4all_spawn_reaper_scope_cpu_seconds_total{scope="/a.scope"} 1.5',
    'cm4all_spawn_reaper_scope_memory_peak_bytes_bucket{scope="/a.scope",le="10"} 1',
    'cm4all_spawn_reaper_scope_memory_peak_bytes_bucket{scope="/a.scope",le="20"} 3',
    'cm4all_spawn_reaper_scope_memory_peak_bytes_bucket{scope="/a.scope",le="+Inf"} 6',
    'cm4all_spawn_reaper_scope_memory_peak_bytes_sum{scope="/a.scope"} 100',
    'cm4all_spawn_reaper_scope_memory_peak_bytes_count{scope="/a.scope"} 6',
    "cm4all_spawn_reaper_inotify_watches 2",
    "cm4all_spawn_reaper_unwatched_directories 0",
    "cm4all_spawn_reaper_rescans_total 0",
    "cm4all_spawn_reaper_missed_changes_total 0",
  ]);
  // Reading the metrics does not change them.
  expect(reaperSeries((await exposition.render()).text)).toEqual(reaperSeries(text));
  current = status({});
  expect(reaperSeries((await exposition.render()).text)).toEqual([]);
});

it("reads the status only once for concurrent requests", async () => {
  let asked = 0;
  const exposition = new Exposition(async () => {
    asked++;
    return status({});
  });
  await Promise.all([exposition.render(), exposition.render()]);
  expect(asked).toBe(1);
  await exposition.render();
  expect(asked).toBe(2);
});

it("shows the start time of the process with fractions of a second", async () => {
  const { text } = await new Exposition(async () => status({})).render();
  const [, seconds] = /^process_start_time_seconds (.*)$/m.exec(text) ?? [];
  expect(Number(seconds)).toBe(performance.timeOrigin / 1000);
});
