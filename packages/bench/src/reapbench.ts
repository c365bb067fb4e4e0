/** Runs the workload in C and reads its JSON lines. */
import { execFileSync } from "node:child_process";

/** Milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface ReapMeasurement {
  readonly count: number;
  /** Cgroups that were not deleted in time. */
  readonly leaked: number;
  readonly lua_calls: number;
  readonly exit_to_lua_ms: Latency | null;
  readonly exit_to_delete_ms: Latency | null;
  readonly daemon_cpu_us_per_cgroup: number;
  /** From the last exit to the last deletion. */
  readonly drain_ms: number;
}

export interface WatchMeasurement {
  readonly rss_kb: { readonly before: number; readonly with_cgroups: number };
  readonly fds: { readonly before: number; readonly with_cgroups: number };
}

export interface IdleMeasurement {
  readonly elapsed_s: number;
  readonly cpu_s: { readonly sched: number };
  readonly wakeups: number;
  readonly pss_kb: number;
}

/** What is measured, and where its work is done. */
export interface Reaper {
  readonly program: string;
  /** The scope's directory. */
  readonly scope: string;
  readonly pids: readonly number[];
  /** A file that gets a line with the path for each call of the handler. */
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
  /** `seq`: one after the other; `burst`: all at once; `churn`: made one by one, too. */
  readonly mode: "seq" | "burst" | "churn";
  readonly count: number;
  /** Cgroups a second; as fast as it goes by default. */
  readonly rate?: number;
}

/** Makes cgroups run empty, and returns how long the reaper took. */
export function reap(reaper: Reaper, { mode, count, rate = 0 }: Reaping): ReapMeasurement {
  const args = ["--count", String(count), "--lua-log", reaper.handlerLog, "--rate", String(rate)];
  return run<ReapMeasurement>(reaper, mode, args);
}

/** Returns what it costs a reaper to watch so many cgroups. */
export const watch = (reaper: Reaper, count: number) =>
  run<WatchMeasurement>(reaper, "none", ["--count", String(count)]);

/** Returns what a reaper does while nothing happens. */
export const idle = (reaper: Reaper, seconds: number) =>
  run<IdleMeasurement>(reaper, "idle", ["--idle", String(seconds)]);
