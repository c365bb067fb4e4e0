/** The programs that are measured and those that measure. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { childPids } from "@cm4all/testing";
import { temporaryDirectory } from "./temporary.ts";

/** The package's directory: the bundle is in `dist`. */
export const root = join(__dirname, "..");

/** The accounting scripts and their tables. */
export const EXAMPLES = join(root, "../../examples/accounting");

const DAEMON = join(root, "../spawn/dist/cm4all-spawn.js");

/** Compiles a client written in C and gives its path. */
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

/** The daemon, with the socket of its administrators. */
export interface RunningDaemon extends RunningServer {
  readonly program: string;
  readonly control: string;
}

interface StartedDaemon extends RunningDaemon {
  /** When it had logged each line that was waited for. */
  readonly afterMs: readonly number[];
}

let servers = 0;

/** @param held what is disposed of with it */
function serverOf(child: ChildProcess, address: string, held?: Disposable): RunningServer {
  if (child.pid === undefined) throw new Error("the server was not started");
  return {
    address,
    pid: child.pid,
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
      held?.[Symbol.dispose]();
    },
  };
}

interface DaemonStart {
  /** The text of spawn.toml. */
  readonly config: string;
  readonly env?: NodeJS.ProcessEnv;
  /** A file that its output is appended to. */
  readonly output?: string;
}

/**
 * Starts the daemon under a name of its own. Its log is a file: while a measurement runs,
 * nobody would read a pipe.
 * @param until what it logs when it is ready, in this order
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
  // By its first line, as systemd starts it, and with the Node that runs this program.
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

export interface NamespaceDaemonOptions {
  /** The text of spawn.toml. */
  readonly config?: string;
  /** With all system calls through ffi-rs. */
  readonly withoutAddon?: boolean;
}

/** The daemon with the namespace service alone. */
export async function startDaemon({
  config = "",
  withoutAddon = false,
}: NamespaceDaemonOptions = {}): Promise<RunningDaemon> {
  const env = withoutAddon ? { CM4ALL_WITHOUT_ADDON: "1" } : {};
  return await startDaemonWith(["--no-reaper"], ["listening on"], { config, env });
}

/** Ends all names of a daemon. */
export function purge({ program, control }: RunningDaemon): void {
  const args = [program, "--control", control, "purge-namespaces", "--all"];
  execFileSync(process.execPath, args, { stdio: "ignore" });
}

export interface RunningReaper extends AsyncDisposable {
  /** Of all its processes. */
  readonly pids: readonly number[];
}

export interface StartedReaper extends RunningReaper {
  /** From its start until it has begun to reap, which is when it says READY. */
  readonly readyMs: number;
  /** From its start until the script is loaded. */
  readonly scriptMs: number;
}

export interface ReaperPlace {
  /** For its journal. */
  readonly directory: string;
  /** Whose scopes are managed. */
  readonly cgroupRoot: string;
  readonly script: string;
  /** Gets what the script prints. */
  readonly output: string;
}

/** The daemon as a reaper, and its script host. */
export async function startReaper(place: ReaperPlace): Promise<StartedReaper> {
  const { directory, cgroupRoot, script, output } = place;
  const config =
    `[reaper]\ncgroup_root = ${JSON.stringify(cgroupRoot)}\nscopes = ["*.scope"]\n` +
    `[accounting]\nscript = ${JSON.stringify(script)}\n` +
    `journal = ${JSON.stringify(join(directory, "journal"))}\n`;
  const until = ["reaping cgroups", "accounting with"];
  const server = await startDaemonWith([], until, { config, output });
  const pids = [server.pid, ...childPids(server.pid)];
  const [readyMs = Number.NaN, scriptMs = Number.NaN] = server.afterMs;
  return { pids, readyMs, scriptMs, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** What is read of each cgroup where no controllers are enabled, which most are without here. */
const FLOOR_FILES = ["cpu.stat", "memory.events", "pids.events", "io.stat"];
const PRESSURE_FILES = ["cpu.pressure", "memory.pressure", "io.pressure"];

/** The floor: a reaper in C that reads the same files, and does nothing with them. */
export async function startReaperFloor(scope: string, output: string): Promise<RunningReaper> {
  const args = [scope, output, ...FLOOR_FILES, ...PRESSURE_FILES];
  const child = spawn(compile("reapfloor"), args, { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const { pid, [Symbol.asyncDispose]: dispose } = serverOf(child, "");
  return { pids: [pid], [Symbol.asyncDispose]: dispose };
}

/**
 * The floor: a server in C that does nothing but receive and send descriptors.
 * @param creates with the least that it takes to make PID namespaces
 */
export async function startFloor(creates = false): Promise<RunningServer> {
  const address = `@cm4all-spawn-floor-${process.pid}-${++servers}`;
  const args = [address, ...(creates ? ["--create"] : [])];
  const child = spawn(compile("floor"), args, { stdio: "inherit" });
  await delay(200);
  return serverOf(child, address);
}

/** Keeps a server's threads on one CPU; undefined lets them run on all. */
export function pin(server: RunningServer, cpu: number | undefined): void {
  const cpus = cpu === undefined ? `0-${availableParallelism() - 1}` : String(cpu);
  execFileSync("taskset", ["-a", "-c", "-p", cpus, String(server.pid)], { stdio: "ignore" });
}
