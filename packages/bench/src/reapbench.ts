/** Runs reapbench, a workload in C, and reads the line of JSON that it prints. */
import { execFileSync } from "node:child_process";

/** Latencies, in milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface ReapMeasurement {
  readonly count: number;
  /** The number of cgroups that were not deleted in time. */
  readonly leaked: number;
  readonly lua_calls: number;
  readonly exit_to_lua_ms: Latency | null;
  readonly exit_to_delete_ms: Latency | null;
  readonly daemon_cpu_us_per_cgroup: number;
  /** The time from the last exit to the last deletion. */
  readonly drain_ms: number;
}

export interface WatchMeasurement {
  readonly rss_kb: { readonly before: number; readonly with_cgroups: number };
  readonly fds: { readonly before: number; readonly with_cgroups: number };
}

export interface IdleMeasurement {
  readonly cpu_s: { readonly sched: number };
  readonly wakeups: number;
  readonly pss_kb: number;
}

/** A reaper to be measured, and the program that measures it. */
export interface Reaper {
  /** The path of reapbench. */
  readonly program: string;
  /** The scope's directory. */
  readonly scope: string;
  readonly pids: readonly number[];
  /** The file to which each call of the handler appends a line with the cgroup's path. */
  readonly handlerLog: string;
}

function run<T>(reaper: Reaper, mode: string, args: readonly string[]): T {
  const words = ["--mode", mode, "--base", reaper.scope, "--pid", reaper.pids.join(","), ...args];
  const line = execFileSync(reaper.program, words, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  return JSON.parse(line) as T;
}

export interface Reaping {
  /**
   * How the cgroups become empty. `seq`: one after the other; `burst`: all at the same time;
   * `churn`: each right after its creation, before the next one is created.
   */
  readonly mode: "seq" | "burst" | "churn";
  readonly count: number;
  /** Cgroups per second; by default as fast as possible. */
  readonly rate?: number;
}

/** Makes cgroups that become empty, and returns how long the reaper took. */
export function reap(reaper: Reaper, { mode, count, rate = 0 }: Reaping): ReapMeasurement {
  const args = ["--count", String(count), "--lua-log", reaper.handlerLog, "--rate", String(rate)];
  return run<ReapMeasurement>(reaper, mode, args);
}

/** Returns the cost of watching `count` cgroups. */
export const watch = (reaper: Reaper, count: number) =>
  run<WatchMeasurement>(reaper, "none", ["--count", String(count)]);

/** Returns the CPU time and wake-ups of a reaper while nothing happens. */
export const idle = (reaper: Reaper, seconds: number) =>
  run<IdleMeasurement>(reaper, "idle", ["--idle", String(seconds)]);
