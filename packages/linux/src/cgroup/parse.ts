/**
 * What the files of a cgroup say. Pure.
 *
 * A line counts only when its newline is there: the end of a text that was cut could
 * be half a number. What is missing, or is no plain decimal integer (`max`), is undefined.
 *
 * @see https://docs.kernel.org/admin-guide/cgroup-v2.html
 */

const INTEGER = /^\d+$/;

function integer(text: string): number | undefined {
  return INTEGER.test(text) ? Number(text) : undefined;
}

/** The whole lines, without their newlines. */
function lines(text: string): string[] {
  const all = text.split("\n");
  all.pop();
  return all;
}

/** `KEY VALUE\n...`: the values that are integers. */
function flatKeyed(text: string): Map<string, number> {
  const values = new Map<string, number>();
  for (const line of lines(text)) {
    const space = line.indexOf(" ");
    const value = integer(line.slice(space + 1));
    if (space > 0 && value !== undefined) values.set(line.slice(0, space), value);
  }
  return values;
}

/** A file with one value, such as `memory.peak`. */
export function parseSingleValue(text: string): number | undefined {
  return text.endsWith("\n") ? integer(text.trimEnd()) : undefined;
}

export interface CgroupEvents {
  /** Whether a process lives in the cgroup or below it. */
  readonly populated: boolean | undefined;
  readonly frozen: boolean | undefined;
}

/** `cgroup.events` */
export function parseCgroupEvents(text: string): CgroupEvents {
  const values = flatKeyed(text);
  const flag = (key: string) => {
    const value = values.get(key);
    return value === undefined ? undefined : value !== 0;
  };
  return { populated: flag("populated"), frozen: flag("frozen") };
}

/** Microseconds of CPU time. */
export interface CpuStat {
  readonly usageUsec: number | undefined;
  readonly userUsec: number | undefined;
  readonly systemUsec: number | undefined;
  /** Only with the cpu controller. */
  readonly throttledUsec: number | undefined;
}

/** `cpu.stat` */
export function parseCpuStat(text: string): CpuStat {
  const values = flatKeyed(text);
  return {
    usageUsec: values.get("usage_usec"),
    userUsec: values.get("user_usec"),
    systemUsec: values.get("system_usec"),
    throttledUsec: values.get("throttled_usec"),
  };
}

/** How often each happened in the cgroup and below it. */
export interface MemoryEvents {
  readonly high: number | undefined;
  readonly max: number | undefined;
  readonly oom: number | undefined;
  readonly oomKill: number | undefined;
}

/** `memory.events` */
export function parseMemoryEvents(text: string): MemoryEvents {
  const values = flatKeyed(text);
  return {
    high: values.get("high"),
    max: values.get("max"),
    oom: values.get("oom"),
    oomKill: values.get("oom_kill"),
  };
}

/** `pids.events`: how often a fork was refused. */
export function parsePidsEventsMax(text: string): number | undefined {
  return flatKeyed(text).get("max");
}

/** Sums over all devices. */
export interface IoStat {
  readonly readBytes: number;
  readonly writeBytes: number;
  readonly reads: number;
  readonly writes: number;
}

/** `io.stat`: `MAJ:MIN rbytes=N wbytes=N rios=N wios=N ...` for each device that was used. */
export function parseIoStat(text: string): IoStat {
  const sums = { rbytes: 0, wbytes: 0, rios: 0, wios: 0 };
  for (const line of lines(text)) {
    for (const field of line.split(" ")) {
      const equals = field.indexOf("=");
      const key = field.slice(0, equals);
      const value = integer(field.slice(equals + 1));
      if (value !== undefined && isIoKey(key)) sums[key] += value;
    }
  }
  const { rbytes, wbytes, rios, wios } = sums;
  return { readBytes: rbytes, writeBytes: wbytes, reads: rios, writes: wios };
}

function isIoKey(key: string): key is "rbytes" | "wbytes" | "rios" | "wios" {
  return key === "rbytes" || key === "wbytes" || key === "rios" || key === "wios";
}

const PRESSURE_SOME = /^some .*\btotal=(\d+)$/;

/** `cpu.pressure` and its like: microseconds in which some task waited. */
export function parsePressureSomeUsec(text: string): number | undefined {
  for (const line of lines(text)) {
    const total = PRESSURE_SOME.exec(line)?.[1];
    if (total !== undefined) return Number(total);
  }
  return undefined;
}
