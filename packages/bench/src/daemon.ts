/**
 * Measures the daemon itself: how long it takes to start, compared with Node alone, and how much
 * memory it and its script host take when idle, before and after many cgroups. The memory is read
 * from /proc/PID/smaps_rollup. PSS counts 1/n of a page that n processes share, so it is lower
 * while other programs run on Node; anonymous memory belongs to one process alone.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ScratchCgroup } from "@cm4all/testing/cgroup";
import { noteAtMost } from "./goals.ts";
import { compile, type RunningReaper, type StartedReaper, startReaper } from "./programs.ts";
import { reap } from "./reapbench.ts";
import { median } from "./statistics.ts";
import { temporaryDirectory } from "./temporary.ts";

const STARTS = 7;
/** The number of measurements of the memory; the medians are printed. */
const ROUNDS = 5;
/**
 * The pause before a measurement, in milliseconds. After three times QUIET_MS (of free-memory.ts),
 * the daemon has freed the memory that it does not need.
 */
const REST_MS = 18_000;
/** The number of bursts before the first measurement; one more precedes each later measurement. */
const BURSTS = 12;
const BURST = 2000;

interface Memory {
  readonly pssMiB: number;
  readonly anonymousMiB: number;
}

/** Reads the memory of a process. @see proc_pid_smaps(5) */
function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const mib = (key: string) =>
    Number(new RegExp(`^${key}: +(\\d+) kB`, "m").exec(text)?.[1]) / 1024;
  return { pssMiB: mib("Pss"), anonymousMiB: mib("Anonymous") };
}

const PROCESSES = ["daemon", "script host"];

/**
 * Prints the medians of the memory, and notes the goals.
 * @param rounds the memory of each process, in each round
 * @param goals the kind of memory, and its maxima for the daemon and for the script host, in MiB
 */
function printMemory(
  when: string,
  rounds: readonly (readonly Memory[])[],
  goals: { readonly of: keyof Memory; readonly most: readonly number[] },
): void {
  const middle = (i: number, of: keyof Memory) =>
    median(rounds.map((round) => round[i]?.[of] ?? Number.NaN));
  for (const [i, who] of PROCESSES.entries())
    noteAtMost(
      `${goals.of === "pssMiB" ? "PSS" : "anonymous"} ${when}: ${who}`,
      middle(i, goals.of),
      goals.most[i] ?? Number.NaN,
      { unit: " MiB" },
    );
  const sum = (of: keyof Memory) => PROCESSES.map((_, i) => middle(i, of).toFixed(1)).join(" + ");
  console.log(
    `${when}, daemon + script host: ${sum("pssMiB")} MiB (PSS), anonymous ${sum("anonymousMiB")}`,
  );
}

/** Waits until the daemon and its script host have freed unused memory; returns what they use. */
async function memoryAtRest({ pids }: RunningReaper): Promise<Memory[]> {
  await delay(REST_MS);
  return pids.map(memoryOf);
}

/** Returns how long Node takes to start and exit without a program, in milliseconds. */
function timeOfNodeAlone(): number {
  const startMs = performance.now();
  execFileSync(process.execPath, ["-e", "0"]);
  return performance.now() - startMs;
}

/** Prints how long the daemon takes to start, with and without the addon. */
async function measureStart(
  start: (withoutAddon?: boolean) => Promise<StartedReaper>,
): Promise<void> {
  const nodeMs: number[] = [];
  const readyMs: number[] = [];
  const scriptMs: number[] = [];
  const withoutMs: number[] = [];
  for (let round = 0; round < STARTS; round++) {
    nodeMs.push(timeOfNodeAlone());
    {
      await using daemon = await start();
      readyMs.push(daemon.readyMs);
      scriptMs.push(daemon.scriptMs);
    }
    await using daemon = await start(true);
    withoutMs.push(daemon.readyMs);
  }
  const [node, ready, without] = [median(nodeMs), median(readyMs), median(withoutMs)];
  console.log(
    `start to READY: ${ready.toFixed(0)} ms, without the addon ${without.toFixed(0)} ms, Node alone ` +
      `${node.toFixed(0)} ms, ratio ${(ready / node).toFixed(1)}; until the script is loaded ` +
      `${median(scriptMs).toFixed(0)} ms`,
  );
  const floor = `Node ${node.toFixed(0)} ms`;
  noteAtMost("start to READY", ready, 250, { unit: " ms", without, floor });
}

/** Prints how long the daemon takes to start, and how much memory it needs. */
export async function measureStartAndMemory(): Promise<void> {
  using directory = temporaryDirectory();
  const handlerLog = join(directory.path, "handlers");
  writeFileSync(handlerLog, "");
  const script = join(directory.path, "accounting.lua");
  writeFileSync(script, "function cgroup_released(cgroup) print(cgroup.path) end");
  const scratch = new ScratchCgroup();
  try {
    const scope = scratch.make("bench.scope");
    const start = (withoutAddon = false) =>
      startReaper({
        directory: directory.path,
        cgroupRoot: scratch.path,
        script,
        output: handlerLog,
        withoutAddon,
      });
    await measureStart(start);

    const atRest: Memory[][] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await using daemon = await start();
      atRest.push(await memoryAtRest(daemon));
    }
    printMemory("at rest", atRest, { of: "pssMiB", most: [45, 22] });

    await using daemon = await start();
    const program = compile("reapbench");
    const reaper = { program, scope, pids: daemon.pids, handlerLog };
    const burst = () => reap(reaper, { mode: "burst", count: BURST });
    for (let i = 1; i < BURSTS; i++) burst();
    const afterBursts: Memory[][] = [];
    for (let round = 0; round < ROUNDS; round++) {
      burst();
      afterBursts.push(await memoryAtRest(daemon));
    }
    const when = `after ${BURSTS * BURST} cgroups`;
    printMemory(when, afterBursts, { of: "anonymousMiB", most: [65, 28] });
  } finally {
    await scratch.remove();
  }
}
