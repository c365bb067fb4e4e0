/**
 * Tests cgroups that are removed before the daemon notices them, cgroups with too long a path, and
 * cgroups that are used again and again.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { until } from "./support/daemon.ts";
import { RunsProgram } from "./support/runs.ts";

/**
 * The number of nested cgroups. Each name has 255 control characters, each of which takes two bytes
 * in the record's JSON. The record of one of the deepest cgroups is longer than 262,144 bytes:
 * messages of this length used to end the script host.
 */
const DEPTH = 600;
/**
 * The number of these cgroups that are below the scope; the others are the scope itself and the
 * cgroups above it.
 */
const LEVELS = 20;

/** A shell command that uses CPU time. */
const BUSY = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";

describe.skipIf(missing("root", "catatonit", "cgroup2", "gcc") !== undefined)("accounting", () => {
  let program: RunsProgram;
  let host: AccountingHost;
  let scope: string;
  let deep: string;
  beforeAll(() => {
    program = new RunsProgram();
  });
  afterAll(() => program[Symbol.dispose]());
  beforeEach(() => {
    host = new AccountingHost();
    scope = join(host.scratch.path, "a.scope");
    deep = host.scratch.make("deep");
  });
  afterEach(async () => {
    await program.endAll();
    await program.run({ mode: "unnest", base: deep });
    await host.stop();
  });

  it("records each cgroup that another program removes within milliseconds, or counts it as removed unseen", async () => {
    host.writeHandler("say(cgroup.path)");
    const running = Array.from({ length: 10 }, (_, i) => host.scratch.run(`a.scope/running-${i}`));
    for (const i of running.keys())
      await until(() => host.scratch.isPopulated(`a.scope/running-${i}`), "its process is there");
    await host.start();
    await host.untilReady();
    const remove = (prefix: string, count: number) =>
      program.run({ mode: "remove", base: scope, prefix, count });
    // These cgroups come and go while the daemon runs.
    await remove("seen", 300);
    // These come and go while the daemon is paused, so that it does not notice them.
    await host.daemon.whilePaused(async () => {
      await remove("unseen", 50);
    });
    // The daemon has watched these since its start; they are removed while it is paused.
    await host.daemon.whilePaused(async () => {
      for (const child of running) child.kill("SIGKILL");
      for (const i of running.keys()) await untilRemoved(`a.scope/running-${i}`);
    });
    const told = () => host.said.split("\n").slice(0, -1);
    const counted = async () => (await host.reaping()).reaper?.unseenCgroups ?? 0;
    await until(
      async () => told().length + (await counted()) >= 360,
      "each is recorded or counted",
    );
    const paths = told();
    expect(new Set(paths).size).toBe(paths.length);
    expect(paths.length + (await counted())).toBe(360);
    expect(paths.filter((path) => path.includes("/running-"))).toHaveLength(10);
    expect(await counted()).toBeGreaterThanOrEqual(50);
    const { reaper, accounting } = await host.reaping();
    expect(reaper).toMatchObject({ watchedCgroups: 0, waitingCgroups: 0, missedChanges: 0 });
    expect(reaper?.vanishedCgroups).toBeGreaterThanOrEqual(10);
    expect(accounting).toMatchObject({ waitingCgroups: 0, accountedCgroups: paths.length });
  });

  async function untilRemoved(name: string): Promise<void> {
    await until(() => {
      try {
        host.scratch.removeEmpty(name);
        return true;
      } catch {
        // The process has not left the cgroup yet.
        return false;
      }
    }, `${name} is removed`);
  }

  it("records a cgroup whose path is too long for system calls", { timeout: 240_000 }, async () => {
    const go = join(host.directory, "go");
    host.writeHandler(
      "",
      `function cgroups_released(list)
        local f = io.open(${JSON.stringify(go)})
        if not f then error("later") end
        f:close()
        for _, cgroup in ipairs(list) do say(#cgroup.path, cgroup.path:byte(-1)) end
      end`,
    );
    host.reaperConfig = `extra_scopes = ["deep${"/*".repeat(DEPTH - LEVELS)}"]\n`;
    await host.start();
    await host.untilReady();
    await program.run({ mode: "nest", base: deep, count: DEPTH });
    await until(
      async () => (await host.accounting()).waitingCgroups === LEVELS,
      "all wait",
      120_000,
    );
    writeFileSync(go, "");
    host.daemon.child.kill("SIGHUP");
    await until(
      async () => (await host.accounting()).accountedCgroups === LEVELS,
      "all are accounted",
      120_000,
    );
    // Each level adds 255 bytes and a slash. The order of the lines does not matter.
    const lengths = Array.from(
      { length: LEVELS },
      (_, i) => `${"/deep".length + 256 * (DEPTH - i)} 1`,
    );
    expect(host.said.split("\n").sort()).toEqual(["", ...lengths].sort());
    expect(await host.accounting()).toMatchObject({ parkedCgroups: 0, waitingCgroups: 0 });
    await until(async () => (await host.reaping()).reaper?.watchedCgroups === 0, "all are gone");
  });

  it("keeps only the last of several waiting reports if each replaces the one before it", async () => {
    const go = join(host.directory, "go");
    host.writeHandler(`
      local f = io.open(${JSON.stringify(go)})
      if not f then error("later") end
      f:close()
      say(cgroup.path)`);
    host.reaperConfig = "unused_seconds = 3600";
    await host.start();
    await host.untilReady();
    // The child is never used, so the daemon deletes it and its parent only after `unused_seconds`.
    host.scratch.make("a.scope/job/child");
    const untilWaiting = (ofReaper: number, ofQueue: number) =>
      until(
        async () => {
          const { reaper, accounting } = await host.reaping();
          return reaper?.waitingCgroups === ofReaper && accounting.waitingCgroups === ofQueue;
        },
        `${ofReaper} wait for the journal, and ${ofQueue} for their handler`,
        40_000,
      );
    const measured = () => host.daemon.log.split(" job: ").length - 1;
    const run = async () => {
      const before = measured();
      await host.scratch.runToEnd("a.scope/job", BUSY);
      await until(() => measured() > before, "it is measured");
    };
    // The report of each run replaces that of the run before it.
    for (let i = 0; i < 3; i++) {
      await run();
      await untilWaiting(0, 1);
    }
    await until(async () => (await host.accounting()).failedHandlers > 0, "its handler fails");
    await run();
    await untilWaiting(0, 1);
    expect((await host.accounting()).supersededReports).toBeGreaterThan(0);
    // The parent is used once more before the next daemon starts; that daemon deletes both.
    await host.crash();
    await host.scratch.runToEnd("a.scope/job", BUSY);
    await host.start();
    await host.untilDeleted("a.scope/job");
    await untilWaiting(0, 2);
    expect((await host.accounting()).supersededReports).toBeGreaterThan(0);
    writeFileSync(go, "");
    await untilWaiting(0, 0);
    expect(host.said.split("\n").sort()).toEqual(["", "/a.scope/job", "/a.scope/job/child"]);
  });
});
