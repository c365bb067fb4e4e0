/**
 * Cgroups come and go on a busy machine that favours all others: work goes on all the same.
 * With `npm run torture` there are more than the daemon can follow.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpus } from "node:os";
import { missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { until } from "./support/daemon.ts";
import { RunsProgram } from "./support/runs.ts";

/** As many as are left when it fails take the kernel minutes to remove: half a minute of them is a sample. */
const { niceness, hogs, rate, maxCount, observations } =
  process.env["TORTURE"] === "all"
    ? { niceness: 19, hogs: cpus().length, rate: 2000, maxCount: 200_000, observations: 30 }
    : { niceness: 5, hogs: 1, rate: 200, maxCount: 6000, observations: 3 };
const TIMEOUT_MS = 600_000;

describe.skipIf(missing("root", "catatonit", "cgroup2", "gcc") !== undefined)("under load", () => {
  let program: RunsProgram;
  let host: AccountingHost;
  let load: ChildProcess[] = [];
  beforeAll(() => {
    program = new RunsProgram();
  });
  afterAll(() => program[Symbol.dispose]());
  beforeEach(() => {
    host = new AccountingHost();
  });

  async function endLoad(): Promise<void> {
    for (const child of load.splice(0)) {
      const ended = once(child, "exit");
      if (child.kill("SIGKILL")) await ended;
    }
  }
  afterEach(async () => {
    await program.endAll();
    await endLoad();
    await host.stop();
  }, TIMEOUT_MS);

  it(
    "cgroups are deleted and accounted while others run empty",
    async () => {
      host.writeHandler("say(cgroup.id)", "handlers_bear_repetition = true");
      await host.start("", { wrapper: ["nice", "-n", String(niceness)] });
      await host.untilReady();
      load = Array.from({ length: hogs }, () =>
        spawn("sh", ["-c", "while :; do :; done"], { stdio: "ignore" }),
      );
      const base = `${host.scratch.path}/a.scope`;
      const runs = program.start({ mode: "leave", base, count: maxCount, rate });
      const done = async () => {
        const { reaper, accounting } = await host.reaping();
        return { deleted: reaper?.deletedCgroups ?? 0, accounted: accounting.accountedCgroups };
      };
      for (let i = 0; i < observations; i++) {
        const before = await done();
        const hasGone = runs.inodes.size;
        await until(
          async () => {
            const { deleted, accounted } = await done();
            const hasWorked = deleted > before.deleted && accounted > before.accounted;
            return hasWorked && runs.inodes.size > hasGone + rate / 4;
          },
          "more are deleted and accounted",
          TIMEOUT_MS / 10,
        );
      }
      expect(runs.isRunning).toBe(true);
      await runs.kill();
      await endLoad();
      const used = [...runs.inodes.values()];
      await until(
        async () => {
          const { reaper, accounting } = await host.reaping();
          return reaper?.watchedCgroups === 0 && accounting.waitingCgroups === 0;
        },
        "nothing waits",
        TIMEOUT_MS / 2,
      );
      const ids = new Set(host.said.split("\n").map((id) => id.slice(id.indexOf(":") + 1)));
      expect(used.filter((inode) => !ids.has(inode))).toEqual([]);
      console.log(`${used.length} cgroups, of which ${(await done()).accounted} were accounted`);
    },
    TIMEOUT_MS,
  );
});
