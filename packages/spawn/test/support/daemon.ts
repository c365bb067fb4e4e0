/** Runs the built daemon, with an address and a directory of the test's own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isErrno } from "@cm4all/linux";
import { childPids, inTime, openProgram, stopProcess } from "@cm4all/testing";
import { afterAll } from "vitest";
import type { ControlRequest } from "../../src/control/commands.ts";
import { askDaemon } from "../../src/control/server.ts";
import type { NamespaceMetrics } from "../../src/namespaces/metrics.ts";
import type { DaemonStatus } from "../../src/status/status.ts";
import { TestClient } from "./client.ts";

const program = openProgram(fileURLToPath(new URL("../../dist/cm4all-spawn.js", import.meta.url)));
afterAll(() => program[Symbol.dispose]());

/** The path of the bundle in a directory that the script's user can read, too. */
export const BUNDLE = program.path;

/** The options for Node in the bundle's first line. */
export const NODE_OPTIONS = nodeOptions();

function programOf(start: DaemonOptions["start"]): string[] {
  if (start === "first line") return [BUNDLE];
  return [process.execPath, ...(start === "without options" ? [] : NODE_OPTIONS), BUNDLE];
}

function nodeOptions(): string[] {
  const [firstLine = ""] = readFileSync(BUNDLE, "latin1").split("\n", 1);
  const [, options] = /^#!\/usr\/bin\/env -S node (.*)$/.exec(firstLine) ?? [];
  if (options === undefined) throw new Error(`${BUNDLE} begins with ${firstLine}`);
  return options.split(" ");
}

/**
 * The time that the daemon may take to end, even with thousands of names; shorter than the time
 * limits of tests and hooks.
 */
const END_MS = 50_000;

/**
 * The time limit for work that is done while the daemon is stopped; longer than the time limits
 * within that work.
 */
const PAUSE_MS = 40_000;

let count = 0;

export interface DaemonOptions {
  /** The text of spawn.toml. */
  readonly config?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Descriptors that the daemon gets as 3, 4, ..., with LISTEN_FDS and LISTEN_FDNAMES. */
  readonly passed?: readonly { readonly fd: number; readonly name: string }[];
  /** The address at which the daemon listens; by default a new one. */
  readonly address?: string;
  /** A file, such as cgroup.procs, that gets the daemon's pid before the daemon starts. */
  readonly cgroupProcs?: string;
  /** The directory of the journal; by default in `directory`, which is removed at the end. */
  readonly journal?: string;
  /** Further options of the command line, which override those before them. */
  readonly options?: readonly string[];
  /** A command that starts the daemon, such as prlimit. */
  readonly wrapper?: readonly string[];
  /**
   * "first line" executes the bundle itself, whose first line starts the `node` in PATH; "without
   * options" runs the bundle with the Node of this process and no options for Node. By default, the
   * Node of this process runs the bundle with the options of the first line.
   */
  readonly start?: "first line" | "without options";
}

/** A running daemon. The caller ends it with `stop` or `end`. */
export class TestDaemon {
  readonly address: string;
  readonly directory: string;
  readonly child: ChildProcess;
  #log = "";

  constructor(options: DaemonOptions = {}) {
    this.address = options.address ?? uniqueAddress();
    this.directory = mkdtempSync(join(tmpdir(), "cm4all-spawn-test-"));
    const config = options.config ?? "";
    writeFileSync(this.configFile, config);
    const passed = options.passed ?? [];
    // The shell executes the daemon, which thus has the shell's pid.
    const script = [
      options.cgroupProcs === undefined ? "" : `echo $$ >"${options.cgroupProcs}";`,
      passed.length === 0 ? "" : "export LISTEN_PID=$$;",
      'exec "$@"',
    ].join(" ");
    const command = [
      ...(options.wrapper ?? []),
      ...programOf(options.start),
      "--listen",
      this.address,
    ];
    command.push("--config", this.configFile, "--control", this.controlSocket);
    command.push("--journal", options.journal ?? join(this.directory, "journal"));
    command.push(...(options.options ?? []));
    // A test without a [reaper] section must not reap the cgroups of the host.
    if (!config.includes("[reaper]")) command.push("--no-reaper");
    this.child = spawn("sh", ["-c", script, "sh", ...command], {
      stdio: ["ignore", "inherit", "pipe", ...passed.map(({ fd }) => fd)],
      env: {
        ...process.env,
        ...(passed.length === 0
          ? {}
          : {
              LISTEN_FDS: String(passed.length),
              LISTEN_FDNAMES: passed.map(({ name }) => name).join(":"),
            }),
        ...options.env,
      },
    });
    this.child.stderr?.on("data", (data) => {
      this.#log += data;
    });
  }

  static async start(options: DaemonOptions = {}): Promise<TestDaemon> {
    const daemon = new TestDaemon(options);
    await daemon.untilLogged("listening on");
    return daemon;
  }

  get configFile(): string {
    return join(this.directory, "spawn.toml");
  }

  get controlSocket(): string {
    return join(this.directory, "control.sock");
  }

  get log(): string {
    return this.#log;
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error("the daemon was not started");
    return this.child.pid;
  }

  /** Waits for a text in the log. @throws Error if it is not logged in time, or the daemon ends */
  async untilLogged(text: string | RegExp): Promise<void> {
    await until(
      () => {
        if (this.child.exitCode !== null) throw new Error(`the daemon ended:\n${this.#log}`);
        return typeof text === "string" ? this.#log.includes(text) : text.test(this.#log);
      },
      `the log has ${typeof text === "string" ? JSON.stringify(text) : text}`,
    );
  }

  connect(): TestClient {
    return new TestClient(this.address);
  }

  control(request: ControlRequest): Promise<unknown> {
    return askDaemon(this.controlSocket, request);
  }

  async status(): Promise<NamespaceMetrics> {
    const answer = await this.control({ command: "status" });
    return (answer as DaemonStatus).namespace;
  }

  descriptorCount(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /**
   * Returns the lowest number of open descriptors that is seen within 0.4 seconds: the daemon
   * closes the connection of a status request only a moment after the answer.
   */
  async restingDescriptorCount(): Promise<number> {
    let fewest = this.descriptorCount();
    for (let look = 0; look < 20; look++) {
      await sleep(20);
      fewest = Math.min(fewest, this.descriptorCount());
    }
    return fewest;
  }

  /** Returns how many of the daemon's descriptors are FIFOs of leases. */
  fifoCount(): number {
    const directory = `/proc/${this.pid}/fd`;
    return readdirSync(directory).filter((fd) =>
      tryReadLink(`${directory}/${fd}`).endsWith("/lease"),
    ).length;
  }

  /** Returns the pids of the daemon's children: the inits, and the script host if there is one. */
  childPids(): number[] {
    return childPids(this.pid);
  }

  /** Runs `work` while the daemon is stopped by SIGSTOP. */
  async whilePaused<T>(work: () => T | Promise<T>): Promise<T> {
    stopProcess(this.pid);
    try {
      return await inTime(
        Promise.resolve(work()),
        "the work that is done while the daemon is stopped has ended",
        PAUSE_MS,
      );
    } finally {
      process.kill(this.pid, "SIGCONT");
    }
  }

  /** Returns the size of the daemon's private memory in bytes. */
  privateBytes(): number {
    const text = readFileSync(`/proc/${this.pid}/smaps_rollup`, "utf8");
    const kib = [...text.matchAll(/^Private_\w+: +(\d+) kB$/gm)].map(([, value]) => Number(value));
    return kib.reduce((sum, value) => sum + value, 0) * 1024;
  }

  /**
   * Sends a signal and waits until the daemon has ended. Returns the exit status, or the name of
   * the signal that killed it.
   * @throws Error if the daemon does not end in time; it is then killed
   */
  async end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals> {
    const ended = once(this.child, "exit");
    this.child.kill(signal);
    try {
      const what = () => `the daemon has ended on ${signal}:\n${this.#log}`;
      const [status, endedBy] = await inTime(ended, what, END_MS);
      return status ?? endedBy ?? 0;
    } catch (error) {
      this.child.kill("SIGKILL");
      await ended;
      throw error;
    } finally {
      rmSync(this.directory, { recursive: true, force: true });
    }
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const result = await this.end("SIGTERM");
    if (result !== 0) throw new Error(`the daemon ended with ${result}:\n${this.#log}`);
  }
}

/** Returns the target of a link in /proc/PID/fd; "" if the descriptor was closed meanwhile. */
function tryReadLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return "";
    throw error;
  }
}

/** Returns `/proc/PID/task/TID` of the thread that runs in the store's mount namespace. */
export function storeThread(daemon: TestDaemon): string {
  const tasks = `/proc/${daemon.pid}/task`;
  const task = readdirSync(tasks).find(
    (tid) => readFileSync(`${tasks}/${tid}/comm`, "utf8") === "namespaces\n",
  );
  return `${tasks}/${task}`;
}

export function uniqueAddress(): string {
  return `@cm4all-spawn-test-${process.pid}-${++count}`;
}

/** Waits until `condition` is true. @throws Error if it is not true in time */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 20_000,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await sleep(10);
  }
}

/**
 * Sends a signal to a process.
 * @throws Error if the pid is undefined or at most 1: for kill(2), 0 is the caller's process group
 */
export function kill(pid: number | undefined, signal: NodeJS.Signals = "SIGKILL"): void {
  if (pid === undefined || pid <= 1) throw new Error(`not the pid of a child: ${pid}`);
  process.kill(pid, signal);
}

/** Kills the process group of which a child is the leader. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) throw new Error("the child was not started");
  process.kill(-child.pid, "SIGKILL");
}
