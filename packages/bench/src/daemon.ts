/**
 * Measures the daemon itself: how long it takes to start, compared with Node alone, and how much
 * memory it and its script host take when idle, before and after many cgroups. The memory is that
 * of /proc/PID/smaps_rollup. PSS counts a page that is shared by n processes as one n-th, so it
 * is lower while other programs run on Node; anonymous memory belongs to one process alone.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ScratchCgroup } from "@cm4all/testing/cgroup";
import { noteAtMost } from "./goals.ts";
import { compile, type RunningReaper, startReaper } from "./programs.ts";
import { reap } from "./reapbench.ts";
import { median } from "./statistics.ts";
import { temporaryDirectory } from "./temporary.ts";

const STARTS = 7;
/**
 * The pause before a measurement, milliseconds. After twice QUIET_MS, the daemon has freed the
 * memory that it does not need.
 */
const REST_MS = 12_000;
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

/** Prints the memory. @param goals MiB, of the daemon and of its script host */
function printMemory(
  when: string,
  { pids }: RunningReaper,
  goals: { readonly of: keyof Memory; readonly most: readonly number[] },
): void {
  const each = pids.map(memoryOf);
  for (const [i, who] of ["daemon", "script host"].entries())
    noteAtMost(
      `${goals.of === "pssMiB" ? "PSS" : "anonymous"} ${when}: ${who}`,
      each[i]?.[goals.of] ?? Number.NaN,
      goals.most[i] ?? Number.NaN,
      { unit: " MiB" },
    );
  const sum = (of: (memory: Memory) => number) => each.map((one) => of(one).toFixed(1)).join(" + ");
  console.log(
    `${when}, daemon + script host: ${sum(({ pssMiB }) => pssMiB)} MiB (PSS), ` +
      `anonymous ${sum(({ anonymousMiB }) => anonymousMiB)}`,
  );
}

/** Returns how long Node takes to start and end without a program, milliseconds. */
function timeOfNodeAlone(): number {
  const startMs = performance.now();
  execFileSync(process.execPath, ["-e", "0"]);
  return performance.now() - startMs;
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
    const start = () =>
      startReaper({
        directory: directory.path,
        cgroupRoot: scratch.path,
        script,
        output: handlerLog,
      });
    const nodeMs: number[] = [];
    const readyMs: number[] = [];
    const scriptMs: number[] = [];
    for (let round = 0; round < STARTS; round++) {
      nodeMs.push(timeOfNodeAlone());
      await using daemon = await start();
      readyMs.push(daemon.readyMs);
      scriptMs.push(daemon.scriptMs);
    }
    const [node, ready] = [median(nodeMs), median(readyMs)];
    console.log(
      `start to READY: ${ready.toFixed(0)} ms, Node alone ${node.toFixed(0)} ms, ratio ` +
        `${(ready / node).toFixed(1)}; until the script is loaded ${median(scriptMs).toFixed(0)} ms`,
    );
    noteAtMost("start to READY", ready, 250, { unit: " ms", floor: `Node ${node.toFixed(0)} ms` });

    await using daemon = await start();
    await delay(REST_MS);
    printMemory("at rest", daemon, { of: "pssMiB", most: [45, 22] });
    const program = compile("reapbench");
    const reaper = { program, scope, pids: daemon.pids, handlerLog };
    for (let i = 0; i < BURSTS; i++) reap(reaper, { mode: "burst", count: BURST });
    await delay(REST_MS);
    printMemory(`after ${BURSTS * BURST} cgroups`, daemon, { of: "anonymousMiB", most: [65, 28] });
  } finally {
    await scratch.remove();
  }
}
