/**
 * The table of the figures that are measured for a cgroup. The type of a measurement, the files
 * that are read and the attributes in scripts are derived from this table; docs/lua.md describes
 * the attributes. Pure.
 */
import {
  parseFlatKeyed,
  parseIoStat,
  parsePressureSomeUsec,
  parseSingleValue,
  type Values,
} from "./parse.ts";

/** The files with one value. */
export const SINGLE_FILES = {
  "memory.peak": parseSingleValue,
  "memory.swap.peak": parseSingleValue,
  "pids.peak": parseSingleValue,
  "pids.forks": parseSingleValue,
  "cpu.pressure": parsePressureSomeUsec,
  "memory.pressure": parsePressureSomeUsec,
  "io.pressure": parsePressureSomeUsec,
} satisfies Record<string, (text: string) => number | undefined>;

/** The files with several values. */
export const KEYED_FILES = {
  "cpu.stat": parseFlatKeyed,
  "memory.events": parseFlatKeyed,
  "pids.events": parseFlatKeyed,
  "io.stat": parseIoStat,
} satisfies Record<string, (text: string) => Values>;

/** A file, and the key of the value if the file has several values. */
type Source = [file: keyof typeof SINGLE_FILES] | [file: keyof typeof KEYED_FILES, key: string];

export interface Figure {
  /** The unit in the kernel's file and in the name of the figure. */
  readonly unit: "microseconds" | "bytes" | "count";
  /** The name of the figure in scripts, which get seconds instead of microseconds. */
  readonly attribute: string;
  readonly source: Source;
}

const usec = (attribute: string, ...source: Source): Figure => ({
  unit: "microseconds",
  attribute,
  source,
});
const bytes = (attribute: string, ...source: Source): Figure => ({
  unit: "bytes",
  attribute,
  source,
});
const count = (attribute: string, ...source: Source): Figure => ({
  unit: "count",
  attribute,
  source,
});

/** All figures. */
export const FIGURES = {
  cpuTotalUsec: usec("cpu_total", "cpu.stat", "usage_usec"),
  cpuUserUsec: usec("cpu_user", "cpu.stat", "user_usec"),
  cpuSystemUsec: usec("cpu_system", "cpu.stat", "system_usec"),
  /** Exists only with the cpu controller. */
  cpuThrottledUsec: usec("cpu_throttled", "cpu.stat", "throttled_usec"),

  memoryPeakBytes: bytes("memory_peak", "memory.peak"),
  memorySwapPeakBytes: bytes("memory_swap_peak", "memory.swap.peak"),
  /** The numbers of memory events, which are counted in the cgroup and below it. */
  memoryEventsHigh: count("memory_events_high", "memory.events", "high"),
  memoryEventsMax: count("memory_events_max", "memory.events", "max"),
  memoryEventsOom: count("memory_events_oom", "memory.events", "oom"),
  memoryEventsOomKill: count("memory_events_oom_kill", "memory.events", "oom_kill"),

  pidsPeak: count("pids_peak", "pids.peak"),
  pidsForks: count("pids_forks", "pids.forks"),
  /** The number of forks that were refused. */
  pidsEventsMax: count("pids_events_max", "pids.events", "max"),

  /** Sums over all devices. */
  ioReadBytes: bytes("io_read_bytes", "io.stat", "rbytes"),
  ioWriteBytes: bytes("io_write_bytes", "io.stat", "wbytes"),
  ioReads: count("io_reads", "io.stat", "rios"),
  ioWrites: count("io_writes", "io.stat", "wios"),

  /** The time during which some task waited for the resource. */
  cpuPressureUsec: usec("cpu_pressure", "cpu.pressure"),
  memoryPressureUsec: usec("memory_pressure", "memory.pressure"),
  ioPressureUsec: usec("io_pressure", "io.pressure"),
} satisfies Record<string, Figure>;

export type FigureName = keyof typeof FIGURES;

/** The figures of a cgroup. A figure that no file or controller provides is undefined, never 0. */
export type CgroupUsage = { readonly [Name in FigureName]?: number | undefined };

/** The figures by their names. */
export const figureEntries = Object.entries(FIGURES) as readonly (readonly [FigureName, Figure])[];
