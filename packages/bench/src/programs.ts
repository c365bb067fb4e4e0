/** The programs that are measured and those that measure. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { childPids } from "@cm4all/testing";
import { temporaryDirectory } from "./temporary.ts";

/** The package's directory: the bundle is in `dist`. */
export const root = join(__dirname, "..");

const DAEMON = join(root, "../spawn/dist/cm4all-spawn.js");

/** Compiles a client written in C and gives its path. */
export function compile(name: "nsbench" | "floor" | "reapbench"): string {
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

/**
 * Starts the daemon under a name of its own. Its log is a file: while a measurement runs,
 * nobody would read a pipe.
 * @param until what it logs when it is ready
 */
async function startDaemonWith(options: readonly string[], until: string): Promise<RunningDaemon> {
  const address = `@cm4all-spawn-bench-${process.pid}`;
  const directory = temporaryDirectory();
  const control = join(directory.path, "control.sock");
  const log = join(directory.path, "log");
  const fd = openSync(log, "w");
  const child = spawn(
    process.execPath,
    [DAEMON, "--listen", address, "--control", control, ...options],
    { stdio: ["ignore", "inherit", fd] },
  );
  closeSync(fd);
  const server = serverOf(child, address, directory);
  const text = () => readFileSync(log, "utf8");
  while (!text().includes(until)) {
    if (child.exitCode !== null) throw new Error(`the daemon did not start:\n${text()}`);
    await delay(10);
  }
  return { ...server, program: DAEMON, control };
}

/** The daemon with the namespace service alone. */
export async function startDaemon(configFile = "/dev/null"): Promise<RunningDaemon> {
  return await startDaemonWith(["--config", configFile, "--no-reaper"], "listening on");
}

export interface RunningReaper extends AsyncDisposable {
  /** The daemon's, and its script host's. */
  readonly pids: readonly number[];
}

/**
 * The daemon as a reaper.
 * @param directory for its configuration and its journal
 * @param cgroupRoot whose scopes are managed
 */
export async function startReaper(
  directory: string,
  cgroupRoot: string,
  script: string,
): Promise<RunningReaper> {
  const config = join(directory, "spawn.toml");
  writeFileSync(
    config,
    `[reaper]\ncgroup_root = ${JSON.stringify(cgroupRoot)}\nscopes = ["*.scope"]\n` +
      `[accounting]\nscript = ${JSON.stringify(script)}\n` +
      `journal = ${JSON.stringify(join(directory, "journal"))}\n`,
  );
  const server = await startDaemonWith(["--config", config], "accounting with");
  const pids = [server.pid, ...childPids(server.pid)];
  return { pids, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** The floor: a server in C that does nothing but receive and send descriptors. */
export async function startFloor(): Promise<RunningServer> {
  const address = `@cm4all-spawn-floor-${process.pid}`;
  const child = spawn(compile("floor"), [address], { stdio: "inherit" });
  await new Promise((resolve) => setTimeout(resolve, 200));
  return serverOf(child, address);
}
