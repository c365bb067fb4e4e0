/** Starts the programs that are measured, and those that measure. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { childPids } from "@cm4all/testing";
import { temporaryDirectory } from "./temporary.ts";

/** The package's directory, which has the bundle in `dist`. */
export const root = join(__dirname, "..");

/** The directory with the accounting scripts and their tables. */
export const EXAMPLES = join(root, "../../examples/accounting");

const DAEMON = join(root, "../spawn/dist/cm4all-spawn.js");

/** Compiles a program written in C and returns its path. */
export function compile(name: "nsbench" | "floor" | "hostile" | "reapbench" | "reapfloor"): string {
  const output = join(root, "dist", name);
  mkdirSync(join(root, "dist"), { recursive: true });
  execFileSync("gcc", ["-O2", "-w", "-o", output, join(root, "c", `${name}.c`), "-lpthread"]);
  return output;
}

/** A server that runs until it is disposed of. */
export interface RunningServer extends AsyncDisposable {
  readonly address: string;
  readonly pid: number;
}

/** A running daemon, with the socket for its administrators. */
export interface RunningDaemon extends RunningServer {
  readonly program: string;
  readonly control: string;
}

interface StartedDaemon extends RunningDaemon {
  /**
   * The times at which the awaited lines had been logged, in milliseconds after the daemon's start.
   */
  readonly afterMs: readonly number[];
}

let servers = 0;

/** The processes of the servers that run. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGTERM");
});

/**
 * Represents a child process as a server. The child is ended at the latest when this process exits.
 * @param held disposed of together with the server
 */
function serverOf(child: ChildProcess, address: string, held?: Disposable): RunningServer {
  if (child.pid === undefined) throw new Error("the server was not started");
  running.add(child);
  return {
    address,
    pid: child.pid,
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
      running.delete(child);
      held?.[Symbol.dispose]();
    },
  };
}

interface DaemonStart {
  /** The text of spawn.toml. */
  readonly config: string;
  readonly env?: NodeJS.ProcessEnv;
  /** A file to which the daemon's output is appended. */
  readonly output?: string;
}

/**
 * Starts the daemon with an address of its own. Its log is a file, because nobody would read a
 * pipe while a measurement runs.
 * @param until the lines of the log that are awaited, in this order
 */
async function startDaemonWith(
  options: readonly string[],
  until: readonly string[],
  { config, env = {}, output }: DaemonStart,
): Promise<StartedDaemon> {
  const address = `@cm4all-spawn-bench-${process.pid}-${++servers}`;
  const directory = temporaryDirectory();
  const control = join(directory.path, "control.sock");
  const log = join(directory.path, "log");
  const configFile = join(directory.path, "spawn.toml");
  writeFileSync(configFile, config);
  const fd = openSync(log, "w");
  const outputFd = openSync(output ?? "/dev/null", "a");
  // Started through its #! line, as systemd starts it, but with the Node that runs this program.
  const PATH = `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`;
  const startMs = performance.now();
  const child = spawn(
    DAEMON,
    ["--config", configFile, "--listen", address, "--control", control, ...options],
    { stdio: ["ignore", outputFd, fd], env: { ...process.env, PATH, ...env } },
  );
  closeSync(fd);
  closeSync(outputFd);
  const server = serverOf(child, address, directory);
  const text = () => readFileSync(log, "utf8");
  const afterMs: number[] = [];
  for (const line of until) {
    while (!text().includes(line)) {
      if (child.exitCode !== null) throw new Error(`the daemon did not start:\n${text()}`);
      await delay(2);
    }
    afterMs.push(performance.now() - startMs);
  }
  return { ...server, program: DAEMON, control, afterMs };
}

/** The environment of a daemon that makes all system calls through ffi-rs. */
const WITHOUT_ADDON = { CM4ALL_WITHOUT_ADDON: "1" };

interface AddonChoice {
  /** True to make all system calls through ffi-rs. */
  readonly withoutAddon?: boolean;
}

export interface NamespaceDaemonOptions extends AddonChoice {
  /** The text of spawn.toml. */
  readonly config?: string;
}

/** Starts the daemon with the namespace service only. */
export async function startDaemon({
  config = "",
  withoutAddon = false,
}: NamespaceDaemonOptions = {}): Promise<RunningDaemon> {
  const env = withoutAddon ? WITHOUT_ADDON : {};
  return await startDaemonWith(["--no-reaper"], ["listening on"], { config, env });
}

/** Ends all names of a daemon. */
export function purge({ program, control }: RunningDaemon): void {
  const args = [program, "--control", control, "purge-namespaces", "--all"];
  execFileSync(process.execPath, args, { stdio: "ignore" });
}

export interface RunningReaper extends AsyncDisposable {
  /** The pids of all processes of the reaper. */
  readonly pids: readonly number[];
}

export interface StartedReaper extends RunningReaper {
  /** The time from its start until it begins to reap, when it sends READY, in milliseconds. */
  readonly readyMs: number;
  /** The time from its start until the script is loaded, in milliseconds. */
  readonly scriptMs: number;
}

export interface ReaperPlace extends AddonChoice {
  /** The directory for the daemon's journal. */
  readonly directory: string;
  /** The cgroup whose scopes are managed. */
  readonly cgroupRoot: string;
  readonly script: string;
  /** The file that gets the output of the script. */
  readonly output: string;
}

/** Starts the daemon as a reaper, with its script host. */
export async function startReaper(place: ReaperPlace): Promise<StartedReaper> {
  const { directory, cgroupRoot, script, output, withoutAddon = false } = place;
  const config =
    `[reaper]\ncgroup_root = ${JSON.stringify(cgroupRoot)}\nscopes = ["*.scope"]\n` +
    `[accounting]\nscript = ${JSON.stringify(script)}\n` +
    `journal = ${JSON.stringify(join(directory, "journal"))}\n`;
  const until = ["reaping cgroups", "accounting with"];
  const env = withoutAddon ? WITHOUT_ADDON : {};
  const server = await startDaemonWith([], until, { config, output, env });
  const pids = [server.pid, ...childPids(server.pid)];
  const [readyMs = Number.NaN, scriptMs = Number.NaN] = server.afterMs;
  return { pids, readyMs, scriptMs, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/**
 * The files that the daemon tries to read in each cgroup even if no controllers are enabled, which
 * is the case in most of the cgroups that are measured.
 */
const FLOOR_FILES = ["cpu.stat", "memory.events", "pids.events", "io.stat"];
const PRESSURE_FILES = ["cpu.pressure", "memory.pressure", "io.pressure"];

/** Starts the floor: a reaper in C that reads the same files, and does nothing with them. */
export async function startReaperFloor(scope: string, output: string): Promise<RunningReaper> {
  const args = [scope, output, ...FLOOR_FILES, ...PRESSURE_FILES];
  const child = spawn(compile("reapfloor"), args, { stdio: ["ignore", "pipe", "inherit"] });
  const { pid, [Symbol.asyncDispose]: dispose } = serverOf(child, "");
  await once(child.stdout, "data");
  return { pids: [pid], [Symbol.asyncDispose]: dispose };
}

/**
 * Starts the floor: a server in C that answers each request with descriptors and does nothing else.
 * @param creates true to make the namespaces, in the simplest way
 */
export async function startFloor(creates = false): Promise<RunningServer> {
  const address = `@cm4all-spawn-floor-${process.pid}-${++servers}`;
  const args = [address, ...(creates ? ["--create"] : [])];
  const child = spawn(compile("floor"), args, { stdio: "inherit" });
  const server = serverOf(child, address);
  await delay(200);
  return server;
}

/**
 * Gives the kernel time to remove the namespaces and processes of an earlier measurement, which it
 * does in the background.
 */
export async function settle(): Promise<void> {
  await delay(500);
}

/** Pins a server's threads to one CPU; undefined lets them run on all. */
export function pin(server: RunningServer, cpu: number | undefined): void {
  const cpus = cpu === undefined ? `0-${availableParallelism() - 1}` : String(cpu);
  execFileSync("taskset", ["-a", "-c", "-p", cpus, String(server.pid)], { stdio: "ignore" });
}
