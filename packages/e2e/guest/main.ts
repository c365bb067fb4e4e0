/**
 * Runs the cases, one after the other on one system, and prints a line for each. If a case needs a
 * reboot, the run continues after the reboot.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import type { Case, Context } from "./case.ts";
import { cases } from "./cases/index.ts";
import { attempt, limitCommands, log, logTo } from "./tools/shell.ts";

const PLAN = "/e2e/in/plan.json";
const STATE = "/var/lib/e2e-state.json";
const LOGS = "/e2e/out/cases";

interface Plan {
  readonly slowness: number;
  /** The names of cases to run; empty for all. */
  readonly only: readonly string[];
}

interface State {
  /** The index of the case that runs. */
  next: number;
  /** Whether that case has rebooted the machine. */
  isRebooted: boolean;
  passed: number;
  failed: number;
  skipped: number;
  /** The names of the cases that failed. */
  readonly failures: string[];
}

function readState(): State {
  if (!existsSync(STATE))
    return { next: 0, isRebooted: false, passed: 0, failed: 0, skipped: 0, failures: [] };
  const state = JSON.parse(readFileSync(STATE, "utf8")) as State;
  if (state.isRebooted) return state;
  const name = Object.keys(cases)[state.next];
  throw new Error(`the machine restarted by itself during ${name}; see its console`);
}

/** Saves the state. After a crash of the machine, either this state or the previous one is there. */
function saveState(state: State): void {
  writeFileSync(`${STATE}.new`, JSON.stringify(state), { flush: true });
  renameSync(`${STATE}.new`, STATE);
  const directory = openSync(dirname(STATE), "r");
  fsyncSync(directory);
  closeSync(directory);
}

async function run(name: string, item: Case, state: State, plan: Plan): Promise<void> {
  const notes: string[] = [];
  const context: Context = {
    slowness: plan.slowness,
    hasControllers: hasControllers(),
    note: (text) => notes.push(text),
  };
  const startMs = performance.now();
  let failure: string | undefined;
  try {
    if (state.isRebooted) await item.afterReboot?.(context);
    else await item.run(context);
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
    log(error instanceof Error ? (error.stack ?? failure) : failure);
    attempt("systemctl --no-pager --failed; journalctl -b -n 60 --no-pager");
    // The next case expects that no clients are left, and that the service is running.
    attempt("pkill -f '[/]e2e/in/clients.js'; systemctl start cm4all-spawn.service");
  }
  if (failure === undefined && item.afterReboot !== undefined && !state.isRebooted) {
    await reboot(state);
    return;
  }
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const details = [`${seconds} s`, ...notes].join(", ");
  if (failure === undefined) {
    state.passed++;
    console.log(`ok     ${name}: ${item.title} (${details})`);
  } else {
    state.failed++;
    state.failures.push(name);
    const reason = failure.slice(0, 400).replaceAll("\n", "\n       ");
    console.log(`FAILED ${name}: ${item.title} (${details})\n       ${reason}`);
  }
}

/** Reboots. Never returns. */
async function reboot(state: State): Promise<void> {
  saveState({ ...state, isRebooted: true });
  attempt("sync; systemctl reboot --no-block");
  await new Promise(() => setInterval(() => {}, 1 << 30));
}

function hasControllers(): boolean {
  const controllers = readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8");
  return ["cpu", "io", "memory", "pids"].every((name) => controllers.split(/\s/).includes(name));
}

async function main(): Promise<void> {
  const plan = JSON.parse(readFileSync(PLAN, "utf8")) as Plan;
  const state = readState();
  mkdirSync(LOGS, { recursive: true });
  logTo(`${LOGS}/boot.log`);
  limitCommands(plan.slowness);
  attempt("systemctl is-system-running --wait; uname -a; node --version; systemctl --version");
  const all = Object.entries(cases);
  for (; state.next < all.length; state.next++, state.isRebooted = false) {
    const [name, item] = all[state.next] ?? [];
    if (name === undefined || item === undefined) continue;
    if (plan.only.length > 0 && !plan.only.includes(name) && name !== "install") continue;
    if (item.needsControllers === true && !hasControllers()) {
      state.skipped++;
      console.log(`skipped ${name}: cgroup2 lacks the controllers cpu, io, memory or pids`);
      continue;
    }
    logTo(`${LOGS}/${name}.log`);
    saveState({ ...state, isRebooted: false });
    await run(name, item, state, plan);
  }
  console.log(`${state.passed} passed, ${state.failed} failed, ${state.skipped} skipped`);
  writeFileSync("/e2e/out/result.json", JSON.stringify(state));
}

main().catch((error: unknown) => {
  console.log(`FAILED: ${error instanceof Error ? error.stack : String(error)}`);
  process.exit(1);
});
