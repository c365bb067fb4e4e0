/** The attributes of a released cgroup under their Lua names, in the units of scripts. Pure. */
import type { CgroupSnapshot } from "../snapshot.ts";

type Attribute = (snapshot: CgroupSnapshot) => string | number | undefined;

function seconds(usec: number | undefined): number | undefined {
  return usec === undefined ? undefined : usec / 1e6;
}

// No prototype: a script may ask for any name, `constructor` too.
export const cgroupAttributes: Record<string, Attribute> = Object.assign(Object.create(null), {
  id: (s) => s.id,
  report: (s) => s.report,
  btime: (s) => (s.birthMs === undefined ? undefined : Math.floor(s.birthMs / 1000)),
  age: (s) => (s.birthMs === undefined ? undefined : (s.measuredMs - s.birthMs) / 1000),

  cpu_total: (s) => seconds(s.cpuTotalUsec),
  cpu_user: (s) => seconds(s.cpuUserUsec),
  cpu_system: (s) => seconds(s.cpuSystemUsec),
  cpu_throttled: (s) => seconds(s.cpuThrottledUsec),

  memory_peak: (s) => s.memoryPeakBytes,
  // The manual's first example prints this name, which dates from cgroup v1.
  memory_max_usage: (s) => s.memoryPeakBytes,
  memory_swap_peak: (s) => s.memorySwapPeakBytes,
  memory_events_high: (s) => s.memoryEventsHigh,
  memory_events_max: (s) => s.memoryEventsMax,
  memory_events_oom: (s) => s.memoryEventsOom,
  memory_events_oom_kill: (s) => s.memoryEventsOomKill,

  pids_peak: (s) => s.pidsPeak,
  pids_forks: (s) => s.pidsForks,
  pids_events_max: (s) => s.pidsEventsMax,

  io_read_bytes: (s) => s.ioReadBytes,
  io_write_bytes: (s) => s.ioWriteBytes,
  io_reads: (s) => s.ioReads,
  io_writes: (s) => s.ioWrites,

  cpu_pressure: (s) => seconds(s.cpuPressureUsec),
  memory_pressure: (s) => seconds(s.memoryPressureUsec),
  io_pressure: (s) => seconds(s.ioPressureUsec),
} satisfies Record<string, Attribute>);
