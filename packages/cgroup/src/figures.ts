/**
 * The figures that are measured of a cgroup: the one place that names them. The type of
 * what was measured, what is read and the attributes of scripts all follow from it;
 * docs/lua.md shows it to people. Pure.
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

/** A file, and the key of the value if there are several in it. */
type Source = [file: keyof typeof SINGLE_FILES] | [file: keyof typeof KEYED_FILES, key: string];

export interface Figure {
  /** As the kernel tells it, and as the name of the figure says. */
  readonly unit: "microseconds" | "bytes" | "count";
  /** Its name in scripts, which get seconds for microseconds. */
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

/** All figures, in the order in which they are read. */
export const FIGURES = {
  cpuTotalUsec: usec("cpu_total", "cpu.stat", "usage_usec"),
  cpuUserUsec: usec("cpu_user", "cpu.stat", "user_usec"),
  cpuSystemUsec: usec("cpu_system", "cpu.stat", "system_usec"),
  /** Only with the cpu controller. */
  cpuThrottledUsec: usec("cpu_throttled", "cpu.stat", "throttled_usec"),

  memoryPeakBytes: bytes("memory_peak", "memory.peak"),
  memorySwapPeakBytes: bytes("memory_swap_peak", "memory.swap.peak"),
  /** How often each of these happened in the cgroup and below it. */
  memoryEventsHigh: count("memory_events_high", "memory.events", "high"),
  memoryEventsMax: count("memory_events_max", "memory.events", "max"),
  memoryEventsOom: count("memory_events_oom", "memory.events", "oom"),
  memoryEventsOomKill: count("memory_events_oom_kill", "memory.events", "oom_kill"),

  pidsPeak: count("pids_peak", "pids.peak"),
  pidsForks: count("pids_forks", "pids.forks"),
  /** How often a fork was refused. */
  pidsEventsMax: count("pids_events_max", "pids.events", "max"),

  /** Sums over all devices. */
  ioReadBytes: bytes("io_read_bytes", "io.stat", "rbytes"),
  ioWriteBytes: bytes("io_write_bytes", "io.stat", "wbytes"),
  ioReads: count("io_reads", "io.stat", "rios"),
  ioWrites: count("io_writes", "io.stat", "wios"),

  /** How long some task waited. */
  cpuPressureUsec: usec("cpu_pressure", "cpu.pressure"),
  memoryPressureUsec: usec("memory_pressure", "memory.pressure"),
  ioPressureUsec: usec("io_pressure", "io.pressure"),
} satisfies Record<string, Figure>;

export type FigureName = keyof typeof FIGURES;

/** What was measured of a cgroup. What no file or controller told is undefined, never 0. */
export type CgroupUsage = { readonly [Name in FigureName]?: number | undefined };

/** The figures by their names. */
export const figureEntries = Object.entries(FIGURES) as readonly (readonly [FigureName, Figure])[];
