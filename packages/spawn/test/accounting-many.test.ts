/** Finds more cgroups at startup than the default of `max_waiting`, and sets the daemon's clock. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { until } from "./support/daemon.ts";

const COUNT = 20_000;
const TIMEOUT_MS = 240_000;

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)(
  "no cgroup is given up",
  () => {
    let host: AccountingHost;
    beforeEach(() => {
      host = new AccountingHost();
    });
    afterEach(() => host.stop(), TIMEOUT_MS);

    it(
      "when 20,000 are found at startup",
      async () => {
        for (let i = 0; i < COUNT; i++) host.scratch.make(`a.scope/${i}`);
        host.writeHandler("say(cgroup.path)");
        await host.start();
        await until(
          async () => {
            const { accountedCgroups, lostCgroups } = await host.accounting();
            return accountedCgroups + lostCgroups >= COUNT;
          },
          "all are accounted",
          TIMEOUT_MS / 2,
        );
        expect(await host.accounting()).toMatchObject({
          accountedCgroups: COUNT,
          lostCgroups: 0,
          failedHandlers: 0,
        });
        expect(new Set(host.said.trim().split("\n")).size).toBe(COUNT);
        await until(
          async () => (await host.reaping()).reaper?.watchedCgroups === 0,
          "all are deleted",
        );
      },
      TIMEOUT_MS,
    );

    it("because of its age when the wall clock is set", async () => {
      // The daemon gets a wall clock of its own: the test must not set the machine's clock.
      const offset = join(host.directory, "offset");
      const preload = join(host.directory, "clock.cjs");
      writeFileSync(offset, "0");
      writeFileSync(
        preload,
        `const { readFileSync } = require("node:fs");
       const now = Date.now;
       Date.now = () => now() + Number(readFileSync(${JSON.stringify(offset)}, "utf8"));`,
      );
      const go = join(host.directory, "go");
      // Other handlers succeed: otherwise this would be an outage, in which no cgroup is given up.
      host.writeHandler(`
        local f = io.open(${JSON.stringify(go)})
        if f then f:close() elseif cgroup.path:match("/fails$") then error("later") end
        say(cgroup.path)`);
      await host.start("give_up_seconds = 600\n", {
        env: { NODE_OPTIONS: `--require ${preload}` },
      });
      await host.untilReady();
      const untilFailed = (count: number) =>
        until(
          async () => (await host.accounting()).failedHandlers >= count,
          `it has failed ${count} times`,
        );
      await host.scratch.runToEnd("a.scope/fails");
      await untilFailed(1);
      for (const [i, ms] of [7_200_000, -7_200_000].entries()) {
        writeFileSync(offset, String(ms));
        await host.scratch.runToEnd("a.scope/succeeds");
        await until(
          async () => (await host.accounting()).accountedCgroups === i + 1,
          "it succeeds",
        );
        await untilFailed((await host.accounting()).failedHandlers + 1);
        expect(await host.accounting()).toMatchObject({ parkedCgroups: 0, waitingCgroups: 1 });
      }
      writeFileSync(go, "");
      await until(async () => (await host.accounting()).accountedCgroups === 3, "it succeeds");
      expect(await host.accounting()).toMatchObject({ lostCgroups: 0, parkedCgroups: 0 });
    });
  },
);
