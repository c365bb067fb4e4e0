/**
 * Measures the cost of the daemon's walk over `/proc`, and how long clients wait for answers during
 * the walk. Before the daemon lets names expire, it finds out in this way which PID namespaces are
 * in use.
 *
 * Starts a daemon with many names, each with a PID namespace and its init, and about as many other
 * processes. All of them are ended after about two minutes.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ownNamespaceInode } from "@cm4all/linux";
import {
  scanProcesses,
  tryReadPidNamespace,
} from "@cm4all/spawn/src/namespaces/names/process-scan.ts";
import { childPids } from "@cm4all/testing";
import { type Measurement, measure } from "./nsbench.ts";
import { compile, type RunningDaemon, startDaemon } from "./programs.ts";
import { median } from "./statistics.ts";

const NAMES = 9990;
const PROCESSES = 10_000;
const ROUNDS = 5;

/** Starts processes that sleep: children of a shell that leads their process group. */
async function startCrowd(count: number): Promise<AsyncDisposable> {
  const script = `i=0; while [ $i -lt ${count} ]; do sleep 3600 & i=$((i+1)); done; echo ready; wait`;
  const shell = spawn("sh", ["-c", script], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const { pid } = shell;
  if (pid === undefined) throw new Error("the crowd was not started");
  await once(shell.stdout, "data");
  return {
    [Symbol.asyncDispose]: async () => {
      const ended = once(shell, "exit");
      process.kill(-pid, "SIGKILL");
      await ended;
    },
  };
}

/** Measures the walk by itself, in this process, and prints the medians. */
function measureScan(inits: readonly { pid: number; inode: number }[]): void {
  const ownInode = ownNamespaceInode("pid");
  const rounds: { allMs: number; cpuMs: number; longestMs: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const scan = scanProcesses(inits, ownInode);
    const { user, system } = process.cpuUsage();
    const startMs = performance.now();
    let longestMs = 0;
    let stepMs = startMs;
    while (scan.next().done !== true) {
      const now = performance.now();
      longestMs = Math.max(longestMs, now - stepMs);
      stepMs = now;
    }
    const cpu = process.cpuUsage();
    const cpuMs = (cpu.user - user + cpu.system - system) / 1000;
    rounds.push({ allMs: performance.now() - startMs, cpuMs, longestMs });
  }
  const middle = (key: "allMs" | "cpuMs" | "longestMs") => median(rounds.map((one) => one[key]));
  console.log(
    `a walk: ${middle("allMs").toFixed(0)} ms, ${middle("cpuMs").toFixed(0)} ms of CPU, ` +
      `longest step ${middle("longestMs").toFixed(1)} ms`,
  );
}

function describe(what: string, { rate, lat_us: { p50, p99, p999, max } }: Measurement): string {
  return `${what}: ${Math.round(rate)} requests/s; us: p50 ${p50}, p99 ${p99}, p99.9 ${p999}, longest ${max}`;
}

/**
 * Measures how fast clients are answered while all idle names are purged: the daemon walks over
 * `/proc`, then ends the names.
 */
async function measureAnswers(nsbench: string, daemon: RunningDaemon): Promise<void> {
  console.log(
    describe("nothing else going on", measure(nsbench, daemon, { mode: "rt", count: 20_000 })),
  );
  const purge = spawn(
    process.execPath,
    [daemon.program, "--control", daemon.control, "purge-namespaces", "--all", "--idle"],
    {
      stdio: "inherit",
    },
  );
  const startMs = performance.now();
  const ended = once(purge, "exit").then(() => performance.now() - startMs);
  let isRunning = true;
  void ended.then(() => {
    isRunning = false;
  });
  while (isRunning) {
    console.log(
      describe("while names are ended", measure(nsbench, daemon, { mode: "rt", count: 5000 })),
    );
    await sleep(1);
  }
  console.log(`ending the names took ${Math.round(await ended)} ms, while clients were served`);
}

/**
 * Prints the duration of a walk over thousands of processes, and how long clients wait for answers
 * during such a walk.
 */
export async function measureProcessScan(): Promise<void> {
  const nsbench = compile("nsbench");
  // No name may expire by itself.
  await using daemon = await startDaemon({ config: "[namespaces]\nexpire_seconds = 3600\n" });
  measure(nsbench, daemon, { mode: "create-pid", count: NAMES });
  await using _crowd = await startCrowd(PROCESSES);
  const inits = childPids(daemon.pid).map((pid) => ({ pid, inode: tryReadPidNamespace(pid) ?? 0 }));
  const all = readdirSync("/proc").filter((entry) => Number.isInteger(Number(entry))).length;
  const load = readFileSync("/proc/loadavg", "utf8").split(" ")[0];
  console.log(`${inits.length} names with an init, ${all} processes in all; load ${load}`);
  measureScan(inits);
  await measureAnswers(nsbench, daemon);
}
