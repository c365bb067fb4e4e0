/** Runs nsbench, a client in C, and reads the line of JSON that it prints. */
import { execFileSync } from "node:child_process";
import type { RunningServer } from "./programs.ts";

/** A measurement, as nsbench prints it. */
export interface Measurement {
  readonly mode: string;
  readonly ns: string;
  readonly count: number;
  /** Operations per second. */
  readonly rate: number;
  /** The server's CPU time for one operation, in microseconds. */
  readonly daemon_cpu_us_per_op: number;
  /** The latencies, in microseconds. */
  readonly lat_us: {
    readonly p50: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
  };
}

/** The memory and descriptors that a number of PID namespaces take. */
export interface MemoryMeasurement {
  readonly count: number;
  readonly daemon_before: { readonly pss_kb: number };
  readonly daemon_after: { readonly pss_kb: number };
  readonly per_child_kb: { readonly pss: number; readonly private: number };
  readonly daemon_fds_before: number;
  readonly daemon_fds_after: number;
}

export interface IdleMeasurement {
  readonly wakeups: number;
  readonly daemon: { readonly pss_kb: number };
}

/** The work to measure. */
export interface Work {
  /** The mode of nsbench. */
  readonly mode: string;
  /** What each request asks for, such as `pid,lease`. */
  readonly ns?: string;
  readonly count: number;
}

/**
 * The beginning of a command that runs a program the way the spawners of beng-proxy and Workshop
 * run: with CAP_SYS_ADMIN, but not as root.
 */
export const AS_SPAWNER = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"].concat([
  "--inh-caps=+sys_admin",
  "--ambient-caps=+sys_admin",
]);

export interface ClientOptions {
  readonly asSpawner?: boolean;
  /** The CPU on which the client runs; by default any. */
  readonly cpu?: number;
}

function run<T>(
  program: string,
  server: RunningServer,
  { mode, ns, count }: { mode: string; ns?: string; count?: number },
  { asSpawner = false, cpu }: ClientOptions = {},
): T {
  const command = cpu === undefined ? [] : ["taskset", "-c", String(cpu)];
  if (asSpawner) command.push(...AS_SPAWNER);
  command.push(program, "--socket", server.address, "--mode", mode);
  command.push("--daemon-pid", String(server.pid));
  if (ns !== undefined) command.push("--ns", ns);
  if (count !== undefined) command.push("--count", String(count));
  const [first = program, ...args] = command;
  const line = execFileSync(first, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  return JSON.parse(line) as T;
}

/** Runs nsbench against a server, and returns the figures. */
export const measure = (
  program: string,
  server: RunningServer,
  work: Work,
  options: ClientOptions = {},
) => run<Measurement>(program, server, work, options);

/** Returns the memory that a server takes for `count` names. */
export const measureMemory = (program: string, server: RunningServer, count: number) =>
  run<MemoryMeasurement>(program, server, { mode: "mem", count });

/** Returns the wake-ups and the memory of a server that gets no requests. */
export const measureIdle = (program: string, server: RunningServer, seconds: number) =>
  run<IdleMeasurement>(program, server, { mode: "idle", count: seconds });
