/** Cgroups, the daemon and a script: handlers of all kinds. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { kill, until } from "./support/daemon.ts";

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)("accounting", () => {
  let host: AccountingHost;
  beforeEach(() => {
    host = new AccountingHost();
  });
  afterEach(() => host.stop());

  it("hands cgroups to the script, children first, and deletes them afterwards", async () => {
    host.writeHandler(
      'say(cgroup.path, cgroup.report, cgroup.cpu_total > 0 and "used" or "unused", cgroup.id)',
    );
    await host.start();
    await host.scratch.runToEnd("a.scope/job/step");
    await host.untilDeleted("a.scope/job");
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

  it("keeps a cgroup whose handler fails, logs the error, and tries again", async () => {
    host.writeHandler('tries = (tries or 0) + 1 say(tries) if tries < 2 then error("no luck") end');
    await host.start();
    await host.scratch.runToEnd("a.scope/job");
    await host.daemon.untilLogged("/a.scope/job: ");
    expect(host.daemon.log).toMatch(
      /\/a\.scope\/job: .*accounting\.lua:\d+: no luck\\nstack traceback:/,
    );
    expect(host.exists("a.scope/job")).toBe(true);
    await host.untilDeleted("a.scope/job");
    expect(host.said).toBe("1\n2\n");
    expect(await host.accounting()).toMatchObject({
      failedHandlers: 1,
      retriedHandlers: 1,
      accountedCgroups: 1,
    });
  });

  it("deletes a cgroup whose handler fails where retry = false", async () => {
    host.writeHandler('say("called") error("no luck")');
    await host.start("retry = false\n");
    await host.scratch.runToEnd("a.scope/job");
    await host.untilDeleted("a.scope/job");
    expect(host.said).toBe("called\n");
    expect(await host.accounting()).toMatchObject({
      failedHandlers: 1,
      retriedHandlers: 0,
      waitingCgroups: 0,
    });
  });

  it("gives up a cgroup after its time, logs and counts the loss", async () => {
    host.writeHandler('error("never")');
    await host.start("give_up_seconds = 2\n");
    await host.scratch.runToEnd("a.scope/job");
    await host.untilDeleted("a.scope/job");
    expect(host.daemon.log).toMatch(
      /\/a\.scope\/job: not accounted, given up after [23] attempts: its handler has failed for 2 s; last error: .*never/,
    );
    expect(await host.accounting()).toMatchObject({
      lostCgroups: 1,
      accountedCgroups: 0,
      waitingCgroups: 0,
    });
  });

  it("keeps cgroups while the script is broken, and accounts them when it was repaired", async () => {
    host.writeScript("this is no Lua");
    await host.start();
    await host.daemon.untilLogged("cgroups wait until the script is usable and reloaded:");
    await host.scratch.runToEnd("a.scope/job");
    await until(async () => (await host.accounting()).waitingCgroups === 1, "it waits");
    expect((await host.accounting()).script).toBe("down");
    host.writeHandler("say(cgroup.path)");
    kill(host.daemon.pid, "SIGHUP");
    await host.untilDeleted("a.scope/job");
    expect(host.said).toBe("/a.scope/job\n");
  });

  it("calls reload on SIGHUP", async () => {
    host.writeHandler("", 'function reload() say("reloaded") end');
    await host.start();
    await host.untilReady();
    kill(host.daemon.pid, "SIGHUP");
    await until(() => host.said === "reloaded\n", "it was called");
  });

  it("only logs and deletes where the script has no handler", async () => {
    host.writeScript("x = 1");
    await host.start();
    await host.daemon.untilLogged("function 'cgroup_released' not found");
    await host.scratch.runToEnd("a.scope/job");
    await host.untilDeleted("a.scope/job");
    expect((await host.accounting()).script).toBe("idle");
  });

  it("accounts again what a killed daemon had not finished, under the same id", async () => {
    host.writeHandler('say(cgroup.id) error("later")');
    await host.start();
    await host.scratch.runToEnd("a.scope/job");
    await until(() => host.said !== "", "the first attempt");
    await host.crash();
    host.writeHandler("say(cgroup.id)");
    await host.start();
    await host.untilDeleted("a.scope/job");
    const ids = host.said.trim().split("\n");
    expect(new Set(ids).size).toBe(1);
    expect(ids.length).toBeGreaterThan(1);
  });

  it("reports a cgroup again that is populated while its handler waits", async () => {
    host.writeHandler(`
      say(cgroup.report)
      local f = io.open(${JSON.stringify(join(host.directory, "go"))})
      if f then f:close() else coroutine.yield() end`);
    await host.start("handler_seconds = 2\n");
    await host.scratch.runToEnd("a.scope/job");
    await until(() => host.said === "1\n", "the handler waits");
    await host.scratch.runToEnd("a.scope/job", "i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done");
    writeFileSync(join(host.directory, "go"), "");
    // The first handler has failed when its time was over; the second report replaces it.
    await host.untilDeleted("a.scope/job");
    expect(host.said).toBe("1\n2\n");
    expect(await host.accounting()).toMatchObject({
      supersededReports: 1,
      accountedCgroups: 1,
      lostCgroups: 0,
    });
  });

  it("survives a script host that is killed, stopped, hangs, or needs too much memory", async () => {
    host.writeHandler(`
      local name = cgroup.path:match("[^/]*$")
      local marker = ${JSON.stringify(`${host.directory}/`)} .. name
      local f = io.open(marker)
      if f then f:close() say(name) return end
      assert(io.open(marker, "w")):close()
      if name == "hang" then ("a"):rep(40):find(("a-"):rep(40) .. "b") end
      if name == "memory" then local t = {} while true do t[#t + 1] = {#t} end end
      coroutine.yield()`);
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
      await host.untilDeleted(`a.scope/${name}`);
    }
    expect(host.said).toBe("killed\nstopped\nhang\nmemory\n");
    expect(await host.accounting()).toMatchObject({ lostCgroups: 0, accountedCgroups: 4 });
  });

  it("is not held up by a handler that waits", async () => {
    host.writeHandler(`
      if cgroup.path:match("slow") then coroutine.yield() else say(cgroup.path) end`);
    await host.start();
    await host.scratch.runToEnd("a.scope/slow");
    await host.scratch.runToEnd("a.scope/fast");
    await host.untilDeleted("a.scope/fast");
    expect(host.exists("a.scope/slow")).toBe(true);
  });

  it("hands over the path of a cgroup that somebody else removed", async () => {
    host.writeHandler('say(cgroup.path, tostring(cgroup.cpu_total), cgroup.id and "id")');
    await host.start();
    await host.untilReady();
    const job = host.scratch.run("a.scope/job");
    await until(async () => (await host.reaping()).reaper?.watchedCgroups === 1, "it is watched");
    await new Promise((resolve) => setTimeout(resolve, 100));
    kill(host.daemon.pid, "SIGSTOP");
    job.kill("SIGKILL");
    await new Promise((resolve) => job.on("exit", resolve));
    await until(() => {
      try {
        host.scratch.removeEmpty("a.scope/job");
        return true;
      } catch {
        // Its process has not left yet.
        return false;
      }
    }, "it is removed");
    kill(host.daemon.pid, "SIGCONT");
    await until(() => host.said !== "", "the handler was called");
    expect(host.said).toBe("/a.scope/job nil id\n");
    expect((await host.reaping()).reaper?.vanishedCgroups).toBe(1);
  });
});
