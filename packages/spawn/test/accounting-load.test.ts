/**
 * More cgroups come and go than the daemon, the least favoured process of a busy machine,
 * can follow: work goes on all the same. `npm run torture` has it last longer.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpus } from "node:os";
import { missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { until } from "./support/daemon.ts";
import { RunsProgram } from "./support/runs.ts";

/** How often work has to be seen while it lasts. */
const OBSERVATIONS = process.env["TORTURE"] === "all" ? 30 : 3;

/** It ends by itself if nobody ends it. */
const MAX_COUNT = 200_000;
const RATE = 2000;
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
      await host.start("", { wrapper: ["nice", "-n", "19"] });
      await host.untilReady();
      load = cpus().map(() => spawn("sh", ["-c", "while :; do :; done"], { stdio: "ignore" }));
      const base = `${host.scratch.path}/a.scope`;
      const runs = program.start({ mode: "leave", base, count: MAX_COUNT, rate: RATE });
      const done = async () => {
        const { reaper, accounting } = await host.reaping();
        return { deleted: reaper?.deletedCgroups ?? 0, accounted: accounting.accountedCgroups };
      };
      for (let i = 0; i < OBSERVATIONS; i++) {
        const before = await done();
        const hasGone = runs.inodes.size;
        await until(
          async () => {
            const { deleted, accounted } = await done();
            const hasWorked = deleted > before.deleted && accounted > before.accounted;
            return hasWorked && runs.inodes.size > hasGone + RATE / 4;
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
