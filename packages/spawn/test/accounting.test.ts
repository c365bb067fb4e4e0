/** Runs the daemon with scripts whose handlers succeed, fail, wait or hang. */
import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { missing, stopProcess } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { kill, until } from "./support/daemon.ts";

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)("accounting", () => {
  let host: AccountingHost;
  beforeEach(() => {
    host = new AccountingHost();
  });
  afterEach(() => host.stop());

  /** Waits until the given metrics of accounting have the given values. */
  async function untilCounted(
    counted: Partial<Awaited<ReturnType<AccountingHost["accounting"]>>>,
  ): Promise<void> {
    const isCounted = async () => {
      const metrics = await host.accounting();
      return Object.entries(counted).every(
        ([key, value]) => metrics[key as keyof typeof metrics] === value,
      );
    };
    await until(isCounted, JSON.stringify(counted));
  }

  const BEARS_REPETITION = "handlers_bear_repetition = true";

  it("deletes cgroups and hands them to the script, children first", async () => {
    host.writeHandler(
      'say(cgroup.path, cgroup.report, cgroup.cpu_total > 0 and "used" or "unused", cgroup.id)',
    );
    await host.start();
    await host.scratch.runToEnd("a.scope/job/step");
    await host.untilDeleted("a.scope/job");
    await untilCounted({ accountedCgroups: 2 });
    expect(host.said.split("\n")).toEqual([
      expect.stringMatching(/^\/a\.scope\/job\/step 1 used \S+:\d+$/),
      expect.stringMatching(/^\/a\.scope\/job 1 used \S+:\d+$/),
      "",
    ]);
    expect(await host.accounting()).toMatchObject({
      accountedCgroups: 2,
      waitingCgroups: 0,
      lostCgroups: 0,
    });
  });

  it("deletes the cgroup of a handler that fails before it has an effect, and calls the handler again", async () => {
    host.writeHandler('tries = (tries or 0) + 1 if tries < 3 then error("no luck") end say(tries)');
    await host.start();
    await host.scratch.runToEnd("a.scope/job");
    await host.untilDeleted("a.scope/job");
    await untilCounted({ accountedCgroups: 1 });
    await host.daemon.untilLogged(
      /\/a\.scope\/job: .*accounting\.lua:\d+: no luck \| stack traceback:/,
    );
    expect(host.daemon.log.split("no luck").length).toBe(2);
    expect(host.said).toBe("3\n");
    expect(await host.accounting()).toMatchObject({ failedHandlers: 2, retriedHandlers: 2 });
  });

  it("parks cgroups whose handler failed after it had an effect, and keeps them across a restart", async () => {
    host.writeHandler('say("called") error("no luck")');
    await host.start();
    await host.scratch.runToEnd("a.scope/job");
    await host.untilDeleted("a.scope/job");
    await untilCounted({ parkedCgroups: 1, waitingCgroups: 0 });
    await host.daemon.untilLogged(/\/a\.scope\/job: parked, .*had an effect: .*no luck/);
    await host.crash();
    await host.start();
    await untilCounted({ parkedCgroups: 1, script: "ready" });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(host.said).toBe("called\n");
  });

  it("calls a handler again after an effect if the script bears repetition", async () => {
    host.writeHandler('say("called") error("no luck")', BEARS_REPETITION);
    await host.start();
    await host.scratch.runToEnd("a.scope/job");
    await until(() => host.said.startsWith("called\ncalled\n"), "it is called again");
    expect(await host.accounting()).toMatchObject({ parkedCgroups: 0, waitingCgroups: 1 });
  });

  it("records that a handler has begun, even if the script bears repetition, and calls it again after a kill", async () => {
    host.writeHandler("coroutine.yield()", BEARS_REPETITION);
    await host.start();
    await host.scratch.runToEnd("a.scope/job");
    await untilCounted({ runningHandlers: 1 });
    expect(await host.records()).toMatchObject([{ state: "began" }]);
    await host.crash();
    host.writeHandler('error("no luck")', BEARS_REPETITION);
    await host.start();
    await until(async () => (await host.accounting()).failedHandlers > 0, "it is called again");
    expect(await host.accounting()).toMatchObject({ parkedCgroups: 0, waitingCgroups: 1 });
  });

  it("continues with a journal that was moved while the daemon was stopped", async () => {
    host.writeHandler('error("no luck")');
    await host.start();
    await host.scratch.runToEnd("a.scope/job");
    await host.untilDeleted("a.scope/job");
    await untilCounted({ waitingCgroups: 1 });
    await host.daemon.stop();
    const journal = join(host.directory, "elsewhere");
    mkdirSync(journal);
    for (const name of readdirSync(host.journal))
      renameSync(join(host.journal, name), join(journal, name));
    host.writeHandler("say(cgroup.path)");
    await host.start("", { journal });
    await until(() => host.said === "/a.scope/job\n", "it is accounted");
    expect(readdirSync(host.journal)).toEqual([]);
  });

  it("calls each handler once with retry = false", async () => {
    host.writeHandler('say("called") error("no luck")');
    await host.start("retry = false\n");
    await host.scratch.runToEnd("a.scope/job");
    await host.untilDeleted("a.scope/job");
    await untilCounted({ lostCgroups: 1, waitingCgroups: 0, parkedCgroups: 0 });
    expect(host.said).toBe("called\n");
    expect(await host.accounting()).toMatchObject({ failedHandlers: 1, retriedHandlers: 0 });
  });

  it("parks a cgroup whose handler fails for too long while others succeed", async () => {
    host.writeHandler('if cgroup.path:find("bad") then error("never") end');
    await host.start("give_up_seconds = 2\n");
    await host.scratch.runToEnd("a.scope/bad");
    await until(async () => (await host.accounting()).failedHandlers > 0, "it has failed");
    await host.scratch.runToEnd("a.scope/job");
    await untilCounted({ parkedCgroups: 1, waitingCgroups: 0 });
    await host.daemon.untilLogged(
      /\/a\.scope\/bad: parked, .*: its handler has failed [23] times: .*never/,
    );
    expect(await host.accounting()).toMatchObject({ lostCgroups: 0, accountedCgroups: 1 });
  });

  it("keeps cgroups while the script is broken, and accounts them once it is repaired", async () => {
    host.writeScript("this is no Lua");
    await host.start();
    await host.daemon.untilLogged("cgroups wait until the script is usable and reloaded:");
    await host.scratch.runToEnd("a.scope/job");
    await until(async () => (await host.accounting()).waitingCgroups === 1, "it waits");
    expect((await host.accounting()).script).toBe("down");
    host.writeHandler("say(cgroup.path)");
    kill(host.daemon.pid, "SIGHUP");
    await untilCounted({ accountedCgroups: 1, waitingCgroups: 0 });
    expect(host.said).toBe("/a.scope/job\n");
  });

  it("calls the script's function reload on SIGHUP", async () => {
    host.writeHandler("", 'function reload() say("reloaded") end');
    await host.start();
    await host.untilReady();
    kill(host.daemon.pid, "SIGHUP");
    await until(() => host.said === "reloaded\n", "it was called");
  });

  it("only logs and deletes cgroups if the script has no handler", async () => {
    host.writeScript("x = 1");
    await host.start();
    await host.daemon.untilLogged("function 'cgroup_released' not found");
    await host.scratch.runToEnd("a.scope/job");
    await host.untilDeleted("a.scope/job");
    expect((await host.accounting()).script).toBe("idle");
  });

  it("accounts cgroups under the same id if the daemon was killed while none of their handlers ran", async () => {
    host.writeHandler('error("later " .. cgroup.id)');
    await host.start();
    await host.scratch.runToEnd("a.scope/job");
    await host.daemon.untilLogged("later ");
    const [, id] = /later (\S+:\d+)/.exec(host.daemon.log) ?? [];
    await host.crash();
    host.writeHandler("say(cgroup.id)");
    await host.start();
    await untilCounted({ accountedCgroups: 1, waitingCgroups: 0 });
    expect(host.said).toBe(`${id}\n`);
  });

  it("parks cgroups whose handler had begun when the daemon was killed", async () => {
    host.writeHandler('say("begun") coroutine.yield()');
    await host.start();
    await host.scratch.runToEnd("a.scope/job");
    await until(() => host.said === "begun\n", "it has begun");
    await host.crash();
    await host.start();
    await untilCounted({ parkedCgroups: 1, waitingCgroups: 0 });
    await host.daemon.untilLogged("1 cgroup is parked: the daemon ended while a handler");
    expect(host.said).toBe("begun\n");
  });

  it("with retry = false, logs that cgroups are lost if their handler had begun when the daemon was killed", async () => {
    host.writeHandler('say("begun") coroutine.yield()');
    await host.start("retry = false\n");
    await host.scratch.runToEnd("a.scope/job");
    await until(() => host.said === "begun\n", "it has begun");
    await host.crash();
    await host.start("retry = false\n");
    await untilCounted({ lostCgroups: 1, waitingCgroups: 0 });
    await host.daemon.untilLogged("1 cgroup is lost: the daemon ended while a handler");
  });

  it("accounts each use of a name as a cgroup of its own, however long the handlers take", async () => {
    host.writeHandler(
      'if not io.open("/nonexistent") then tries = (tries or 0) + 1 end if tries < 4 then error("slow") end say(cgroup.id, cgroup.report)',
    );
    await host.start();
    await host.untilReady();
    for (let i = 0; i < 5; i++) {
      await host.scratch.runToEnd("a.scope/job");
      await host.untilDeleted("a.scope/job");
    }
    await untilCounted({ accountedCgroups: 5, waitingCgroups: 0 });
    const lines = host.said.trim().split("\n");
    expect(new Set(lines).size).toBe(5);
    expect(lines.every((line) => line.endsWith(" 1"))).toBe(true);
  });

  it("survives a script host that is killed or stopped, hangs, or needs too much memory", async () => {
    host.writeHandler(
      `
      local name = cgroup.path:match("[^/]*$")
      local marker = ${JSON.stringify(`${host.directory}/`)} .. name
      local f = io.open(marker)
      if f then f:close() say(name) return end
      assert(io.open(marker, "w")):close()
      if name == "hang" then ("a"):rep(40):find(("a-"):rep(40) .. "b") end
      if name == "memory" then local t = {} while true do t[#t + 1] = {#t} end end
      coroutine.yield()`,
      BEARS_REPETITION,
    );
    await host.start("answer_seconds = 2\nmemory_mib = 32\ninstructions = 2000000000\n");
    for (const [name, act] of [
      ["killed", () => kill(host.scriptHostPid, "SIGKILL")],
      ["stopped", () => kill(host.scriptHostPid, "SIGSTOP")],
      ["hang", () => {}],
      ["memory", () => {}],
    ] as const) {
      await host.untilReady();
      await host.scratch.runToEnd(`a.scope/${name}`);
      await until(() => existsSync(join(host.directory, name)), "the handler runs");
      act();
      await until(() => host.said.includes(name), "it is called again");
    }
    // The last handler has written its line, but may not have returned yet.
    await untilCounted({ accountedCgroups: 4, lostCgroups: 0 });
    expect(host.said).toBe("killed\nstopped\nhang\nmemory\n");
  });

  it("is not held up by a handler that waits", async () => {
    host.writeHandler(`
      if cgroup.path:match("slow") then coroutine.yield() else say(cgroup.path) end`);
    await host.start();
    await host.scratch.runToEnd("a.scope/slow");
    await host.scratch.runToEnd("a.scope/fast");
    await until(() => host.said === "/a.scope/fast\n", "the other one has returned");
    await host.untilDeleted("a.scope/slow");
    await untilCounted({ accountedCgroups: 1, runningHandlers: 1, waitingCgroups: 1 });
  });

  it("hands over the path of a cgroup that another program removed", async () => {
    host.writeHandler('say(cgroup.path, tostring(cgroup.cpu_total), cgroup.id and "id")');
    await host.start();
    await host.untilReady();
    const job = host.scratch.run("a.scope/job");
    await until(async () => (await host.reaping()).reaper?.watchedCgroups === 1, "it is watched");
    await new Promise((resolve) => setTimeout(resolve, 100));
    stopProcess(host.daemon.pid);
    job.kill("SIGKILL");
    await new Promise((resolve) => job.on("exit", resolve));
    await until(() => {
      try {
        host.scratch.removeEmpty("a.scope/job");
        return true;
      } catch {
        // The process has not left the cgroup yet.
        return false;
      }
    }, "it is removed");
    kill(host.daemon.pid, "SIGCONT");
    await until(() => host.said !== "", "the handler was called");
    expect(host.said).toBe("/a.scope/job nil id\n");
    expect((await host.reaping()).reaper?.vanishedCgroups).toBe(1);
  });
});
