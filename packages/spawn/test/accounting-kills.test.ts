/**
 * Kills the daemon again and again while cgroups come and go: 20,000 cgroups with
 * `npm run torture`, otherwise 1,000.
 */
import { missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { until } from "./support/daemon.ts";
import { type Runs, RunsProgram } from "./support/runs.ts";

const [COUNT, KILLS] = process.env["TORTURE"] === "all" ? [20_000, 8] : [1000, 4];
const TIMEOUT_MS = 1_200_000;

/** The number of cgroups for each run of the daemon. The last run is stopped, not killed. */
const COUNT_A_LIFE = Math.floor(COUNT / (KILLS + 1));

const BEARS_REPETITION = "handlers_bear_repetition = true";

describe.skipIf(missing("root", "catatonit", "cgroup2", "gcc") !== undefined)(
  "cgroups, while the daemon is killed again and again,",
  () => {
    let program: RunsProgram;
    let host: AccountingHost;
    beforeAll(() => {
      program = new RunsProgram();
    });
    afterAll(() => program[Symbol.dispose]());
    beforeEach(() => {
      host = new AccountingHost();
    });
    afterEach(async () => {
      await program.endAll();
      await host.stop();
    }, TIMEOUT_MS);

    /**
     * Starts and kills the daemon again and again. Cgroups become empty before it starts, while it
     * runs, and after it was killed.
     * @returns the inodes of the cgroups that were used
     */
    async function live(): Promise<string[]> {
      const runs: Runs[] = [];
      for (let life = 0; life <= KILLS; life++) {
        const base = `${host.scratch.path}/a.scope`;
        runs.push(program.start({ mode: "leave", base, prefix: `${life}`, count: COUNT_A_LIFE }));
        await host.start();
        if (life === KILLS) break;
        const accounted = 1 + Math.floor((Math.random() * COUNT_A_LIFE) / 2);
        await until(
          async () => (await host.accounting()).accountedCgroups >= accounted,
          `${accounted} are accounted`,
          TIMEOUT_MS / 10,
        );
        await host.crash();
      }
      for (const each of runs) await each.end();
      await until(
        async () => {
          const { reaper, accounting } = await host.reaping();
          return (
            reaper?.watchedCgroups === 0 &&
            accounting.waitingCgroups === 0 &&
            accounting.script === "ready"
          );
        },
        "nothing waits",
        TIMEOUT_MS / 4,
      );
      return runs.flatMap(({ inodes }) => [...inodes.values()]);
    }

    /** Returns the inodes in the ids that the handler has written, including duplicates. */
    const booked = () => host.said.split("\n").slice(0, -1).map(inodeOf);

    it(
      "are all accounted by a script whose handlers may be called again, and none is parked",
      async () => {
        host.writeHandler("say(cgroup.id)", BEARS_REPETITION);
        const used = await live();
        expect(used).toHaveLength(COUNT_A_LIFE * (KILLS + 1));
        const ids = new Set(booked());
        expect(used.filter((inode) => !ids.has(inode))).toEqual([]);
        expect(await host.accounting()).toMatchObject({ lostCgroups: 0, parkedCgroups: 0 });
        expect((await host.reaping()).reaper?.vanishedCgroups).toBe(0);
      },
      TIMEOUT_MS,
    );

    it(
      "are never booked twice by a plain script, and are parked if they may have been booked",
      async () => {
        host.writeHandler("say(cgroup.id)");
        const used = await live();
        expect(used).toHaveLength(COUNT_A_LIFE * (KILLS + 1));
        const ids = booked();
        expect(ids.length).toBe(new Set(ids).size);
        const parked = await host.records();
        for (const { state, reason } of parked) {
          expect(state).toBe("parked");
          expect(reason).toMatch(/^the daemon ended while/);
        }
        const known = new Set([...ids, ...parked.map(({ id = "" }) => inodeOf(id))]);
        expect(used.filter((inode) => !known.has(inode))).toEqual([]);
        expect(await host.accounting()).toMatchObject({ lostCgroups: 0 });
      },
      TIMEOUT_MS,
    );
  },
);

const inodeOf = (id: string) => id.slice(id.indexOf(":") + 1);
