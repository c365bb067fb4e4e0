/** Measures CPU time, in seconds. @see proc_pid_stat(5), proc_stat(5) */
import { readFileSync } from "node:fs";
import { ProcStatField, parseProcStat, TICK_MS } from "@cm4all/linux";
import { childPids } from "@cm4all/testing";

const TICKS_PER_SECOND = 1000 / TICK_MS;

/**
 * Returns the sum of utime and stime and, with `ended`, of cutime and cstime, which are the times
 * of children that have ended and have been waited for.
 */
function processSeconds(pid: number, ended = false): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const { UTIME, STIME, CUTIME, CSTIME } = ProcStatField;
  const fields = ended ? [UTIME, STIME, CUTIME, CSTIME] : [UTIME, STIME];
  const ticks = fields.reduce((sum, field) => sum + parseProcStat(text, field), 0);
  return ticks / TICKS_PER_SECOND;
}

/** Returns the CPU time of a process and its children, including children that have ended. */
export function treeSeconds(pid: number): number {
  const children = childPids(pid).map((child) => {
    try {
      return processSeconds(child);
    } catch {
      // The child has ended in the meantime: its time is in the parent's cutime and cstime.
      return 0;
    }
  });
  return children.reduce((sum, value) => sum + value, processSeconds(pid, true));
}

export interface MachineTime {
  /** The time in which CPUs had nothing to do. */
  readonly idle: number;
  /** The time in which CPUs had nothing to do except wait for a disk. */
  readonly disk: number;
  readonly all: number;
}

/** Returns times since boot, each the sum over all CPUs. */
export function machineSeconds(): MachineTime {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  // cpu USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ STEAL (GUEST is part of USER, GUEST_NICE of NICE)
  const ticks = line.trim().split(/ +/).slice(1, 9).map(Number);
  const seconds = (n: number | undefined) => (n ?? 0) / TICKS_PER_SECOND;
  return {
    idle: seconds(ticks[3]),
    disk: seconds(ticks[4]),
    all: seconds(ticks.reduce((sum, value) => sum + value, 0)),
  };
}
