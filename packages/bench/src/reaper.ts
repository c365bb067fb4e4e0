/**
 * Measures the reaper: the daemon and its script host together, with a script whose handler
 * writes one line. Absolute figures depend on the machine and on what else it does.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ScratchCgroup } from "@cm4all/testing/cgroup";
import { compile, startReaper } from "./programs.ts";
import { idle, type Latency, type Reaper, reap, watch } from "./reapbench.ts";
import { temporaryDirectory } from "./temporary.ts";

const RUNS = [
  { mode: "seq", count: 500, title: "500 run empty one by one" },
  { mode: "churn", count: 500, title: "500 made and left one by one" },
  { mode: "burst", count: 500, title: "500 run empty at once" },
  { mode: "burst", count: 5000, title: "5,000 run empty at once" },
] as const;

const WATCHED = 10_000;
const IDLE_SECONDS = 60;
/** V8 collects garbage some times more when there is nothing left to do. */
const REST_MS = 60_000;

const milliseconds = (latency: Latency | null) =>
  latency === null
    ? "none"
    : `${latency.p50.toFixed(1).padStart(6)} /${latency.p99.toFixed(1).padStart(7)}`;

function measureRuns(reaper: Reaper): void {
  const header = ["CPU a cgroup", "exit to handler", "exit to deletion (ms, p50 / p99)"];
  console.log(`${"".padEnd(30)}${header[0]}  ${header[1]}  ${header[2]}`);
  for (const { mode, count, title } of RUNS) {
    const run = reap(reaper, mode, count);
    console.log(
      title.padEnd(30) +
        `${Math.round(run.daemon_cpu_us_per_cgroup)} us`.padStart(12) +
        milliseconds(run.exit_to_lua_ms).padStart(17) +
        milliseconds(run.exit_to_delete_ms).padStart(18),
    );
    if (run.leaked > 0 || run.lua_calls !== count)
      console.log(`  NOT ALL: ${run.lua_calls} handlers, ${run.leaked} not deleted`);
  }
}

function measureWatching(reaper: Reaper): void {
  const { rss_kb, fds } = watch(reaper, WATCHED);
  const grownKb = rss_kb.with_cgroups - rss_kb.before;
  console.log(
    `memory (RSS): ${Math.round(rss_kb.before / 1024)} MiB, with ${WATCHED} cgroups ` +
      `${Math.round(rss_kb.with_cgroups / 1024)} MiB (${(grownKb / WATCHED).toFixed(1)} KiB each); ` +
      `${((fds.with_cgroups - fds.before) / WATCHED).toFixed(2)} descriptors each`,
  );
}

async function measureIdle(reaper: Reaper): Promise<void> {
  await delay(REST_MS);
  const { elapsed_s, wakeups, cpu_s, pss_kb } = idle(reaper, IDLE_SECONDS);
  console.log(
    `idle for a minute: ${wakeups} wake-ups and ${(cpu_s.sched * 1000).toFixed(1)} ms of CPU in ` +
      `${elapsed_s.toFixed(0)} s; ${Math.round(pss_kb / 1024)} MiB (PSS)`,
  );
}

export async function measureReaper(): Promise<void> {
  const program = compile("reapbench");
  using directory = temporaryDirectory();
  const handlerLog = join(directory.path, "handlers");
  writeFileSync(handlerLog, "");
  const script = join(directory.path, "accounting.lua");
  writeFileSync(
    script,
    `local log = assert(io.open(${JSON.stringify(handlerLog)}, "a"))
     function cgroup_released(cgroup) log:write(cgroup.path, "\\n") log:flush() end`,
  );
  const scratch = new ScratchCgroup();
  try {
    const scope = scratch.make("bench.scope");
    await using daemon = await startReaper(directory.path, scratch.path, script);
    const reaper = { program, scope, pids: daemon.pids, handlerLog };
    measureWatching(reaper);
    measureRuns(reaper);
    await measureIdle(reaper);
  } finally {
    await scratch.remove();
  }
}
