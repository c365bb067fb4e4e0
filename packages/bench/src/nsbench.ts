/** Runs the client in C and reads its JSON lines. */
import { execFileSync } from "node:child_process";
import type { RunningServer } from "./programs.ts";

/** One measurement, as nsbench prints it. */
export interface Measurement {
  readonly mode: string;
  readonly ns: string;
  readonly count: number;
  /** Operations per second. */
  readonly rate: number;
  /** Microseconds. */
  readonly lat_us: {
    readonly p50: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
  };
}

/** What memory and descriptors a number of PID namespaces take. */
export interface MemoryMeasurement {
  readonly count: number;
  readonly daemon_before: { readonly pss_kb: number };
  readonly daemon_after: { readonly pss_kb: number };
  readonly per_child_kb: { readonly pss: number; readonly private: number };
  readonly daemon_fds_before: number;
  readonly daemon_fds_after: number;
}

export interface IdleMeasurement {
  readonly elapsed_s: number;
  readonly wakeups: number;
}

function run<T>(program: string, server: RunningServer, mode: string, count?: number): T {
  const args = ["--socket", server.address, "--mode", mode, "--daemon-pid", String(server.pid)];
  if (count !== undefined) args.push("--count", String(count));
  const line = execFileSync(program, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  return JSON.parse(line) as T;
}

export const measure = (program: string, server: RunningServer, mode: string, count: number) =>
  run<Measurement>(program, server, mode, count);

export const measureMemory = (program: string, server: RunningServer, count: number) =>
  run<MemoryMeasurement>(program, server, "mem", count);

export const measureIdle = (program: string, server: RunningServer, seconds: number) =>
  run<IdleMeasurement>(program, server, "idle", seconds);
