/**
 * On a busy machine, lets cgroups become empty more often than the daemon can handle: other cgroups
 * are accounted meanwhile.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { until } from "./support/daemon.ts";
import { RunsProgram } from "./support/runs.ts";

/** How many cgroups become empty once, and how many others become empty all the time. */
const COUNT = 300;

const TIMEOUT_MS = 180_000;

const can = missing("root", "catatonit", "cgroup2", "gcc") === undefined;

let program: RunsProgram;
let host: AccountingHost;
let loops: ChildProcess[];
beforeEach(() => {
  if (!can) return;
  program = new RunsProgram();
  host = new AccountingHost();
  loops = [];
});
afterEach(async () => {
  if (!can) return;
  for (const loop of loops) loop.kill("SIGKILL");
  await program.endAll();
  program[Symbol.dispose]();
  await host.stop();
}, TIMEOUT_MS);

it.skipIf(!can)(
  "cgroups are deleted and accounted while others become empty all the time",
  async () => {
    host.writeHandler("say(cgroup.path)", "handlers_bear_repetition = true");
    await host.start("", { wrapper: ["nice", "-n", "10"] });
    await host.untilReady();
    loops = [1, 2].map(() => spawn("sh", ["-c", "while :; do :; done"], { stdio: "ignore" }));
    const base = `${host.scratch.path}/a.scope`;
    const startedMs = performance.now();
    // These cgroups are used again and again, more often than the daemon can look at them.
    const runs = program.start({ mode: "churn", base, prefix: "busy", count: COUNT, rate: 3000 });
    await program.run({ mode: "leave", base, prefix: "once", count: COUNT });
    const accounted = () => host.said.split("\n").filter((path) => path.includes("/once-")).length;
    await until(() => accounted() === COUNT, "those that are not used again are accounted", 90_000);
    expect(runs.isRunning).toBe(true);
    const seconds = (performance.now() - startedMs) / 1000;
    console.log(
      `${(runs.uses / seconds).toFixed(0)} a second became empty for ${seconds.toFixed(0)} s`,
    );
    await runs.kill();
    for (const loop of loops) loop.kill("SIGKILL");
    await until(
      async () => {
        const { reaper, accounting } = await host.reaping();
        return reaper?.watchedCgroups === 0 && accounting.waitingCgroups === 0;
      },
      "nothing is left",
      TIMEOUT_MS / 3,
    );
  },
  TIMEOUT_MS,
);
