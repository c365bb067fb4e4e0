/**
 * Measures the namespace service beside a floor: a server in C that only receives and
 * sends descriptors. Absolute figures depend on the machine and on what else it does;
 * the ratios of one run are what can be compared.
 */
import { type Measurement, measure, measureIdle, measureMemory } from "./nsbench.ts";
import { compile, startDaemon, startFloor } from "./programs.ts";
import { median } from "./statistics.ts";

/** Pairs of runs; the median ratio is printed. */
const ROUNDS = 3;

const COMPARED = [
  { mode: "rt", count: 20_000, title: "IPC+PID again, 1 connection" },
  { mode: "par", count: 60_000, title: "IPC+PID again, 16 connections" },
  { mode: "conn", count: 10_000, title: "connect, request, close" },
];

const CREATED = [
  { mode: "create-ipc", title: "200 new IPC namespaces" },
  { mode: "create-pid", title: "200 new PID namespaces" },
  { mode: "create-user", title: "200 new user namespaces" },
  { mode: "create-both", title: "200 new IPC+PID names" },
];

function describe(title: string, runs: readonly Measurement[]): string {
  const rate = median(runs.map((run) => run.rate));
  const [p50, p99] = (["p50", "p99"] as const).map((p) => median(runs.map((r) => r.lat_us[p])));
  return [
    title.padEnd(32),
    `${Math.round(rate).toString().padStart(8)} /s`,
    `p50 ${Math.round(p50 ?? 0)
      .toString()
      .padStart(6)} us`,
    `p99 ${Math.round(p99 ?? 0)
      .toString()
      .padStart(6)} us`,
  ].join("  ");
}

export async function measureNamespaces(): Promise<void> {
  const nsbench = compile("nsbench");
  await using daemon = await startDaemon();
  await using floor = await startFloor();

  console.log(`Medians of ${ROUNDS} runs; in brackets the rate as a share of the floor's.`);
  for (const { mode, count, title } of COMPARED) {
    const ours: Measurement[] = [];
    const floors: Measurement[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      ours.push(measure(nsbench, daemon, mode, count));
      floors.push(measure(nsbench, floor, mode, count));
    }
    const ratio = median(ours.map((run, i) => run.rate / (floors[i]?.rate ?? Number.NaN)));
    console.log(`${describe(title, ours)}  [${ratio.toFixed(2)}]`);
    console.log(describe("  the floor", floors));
  }
  for (const { mode, title } of CREATED) {
    const runs = Array.from({ length: ROUNDS }, () => measure(nsbench, daemon, mode, 200));
    console.log(describe(title, runs));
  }
  const idle = measureIdle(nsbench, daemon, 5);
  console.log(`idle: ${idle.wakeups} wake-ups in ${idle.elapsed_s.toFixed(1)} s`);
  const memory = measureMemory(nsbench, daemon, 200);
  const grown = (memory.daemon_after.pss_kb - memory.daemon_before.pss_kb) / memory.count;
  console.log(
    `memory (PSS): daemon ${memory.daemon_before.pss_kb} KiB; per PID namespace ` +
      `${memory.per_child_kb.pss.toFixed(1)} KiB in the init and ${grown.toFixed(1)} KiB in the daemon`,
  );
}
