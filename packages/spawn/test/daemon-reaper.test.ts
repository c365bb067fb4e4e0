/** The reaper inside the real daemon. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing, ScratchCgroup } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DaemonStatus } from "../src/status.ts";
import { TestDaemon, until } from "./support/daemon.ts";

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)("the daemon", () => {
  let scratch: ScratchCgroup;
  let daemon: TestDaemon | undefined;

  const config = (more = "") =>
    `[reaper]\ncgroup_root = "${scratch.path}"\nextra_scopes = ["*.scope"]\n${more}`;
  const status = async () => (await daemon?.control({ command: "status" })) as DaemonStatus;
  const exists = (name: string) => existsSync(join(scratch.path, name));

  beforeEach(() => {
    scratch = new ScratchCgroup();
    scratch.make("a.scope");
  });

  afterEach(async () => {
    await daemon?.stop();
    daemon = undefined;
    await scratch.remove();
  });

  it("reaps without a script, and shows it in its status", async () => {
    daemon = await TestDaemon.start({ config: config() });
    await until(async () => (await status()).reaping?.reaper !== undefined, "the reaper runs");
    await scratch.runToEnd("a.scope/job/step");
    await until(() => !exists("a.scope/job"), "the cgroup is deleted");
    expect(daemon.log).toMatch(/job\/step: since=\S+ cpu=/);
    const { reaping } = await status();
    expect(reaping?.reaper).toMatchObject({ released: 2, deleted: 2, watched: 0 });
    expect(reaping?.reaper?.scopes).toEqual([
      { path: "/a.scope", cpuUsec: expect.any(Number), memoryPeakBytes: 0 },
    ]);
    expect(reaping?.accounting).toMatchObject({ state: "idle", waiting: 0 });
  });

  it("reaps the default scopes and those that are added", async () => {
    const scope = "system.slice/system-cm4all.slice/bp-spawn.scope";
    scratch.make(`${scope}/old`);
    scratch.make("b.scope/old");
    daemon = await TestDaemon.start({ config: config() });
    await until(() => !exists(`${scope}/old`) && !exists("b.scope/old"), "both are deleted");
  });

  it("leaves cgroups alone when told to", async () => {
    scratch.make("a.scope/old");
    daemon = await TestDaemon.start({ config: config("enabled = false\n") });
    expect((await status()).reaping).toBeUndefined();
    expect(exists("a.scope/old")).toBe(true);
  });

  it("serves namespaces while the cgroup root is missing, and starts its thread again", async () => {
    const root = join(scratch.path, "later");
    daemon = await TestDaemon.start({
      config: `[reaper]\ncgroup_root = "${root}"\nscopes = ["*.scope"]\n`,
    });
    await daemon.untilLogged("the reaper ended, starting it again: ENOENT");
    expect((await status()).namespaces.names).toBe(0);
    expect((await status()).reaping?.reaper).toBeUndefined();
    scratch.make("later/b.scope/old");
    await until(() => !exists("later/b.scope/old"), "the cgroup is deleted");
  });
});

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)("accounting", () => {
  let scratch: ScratchCgroup;
  let directory: string;
  let daemon: TestDaemon | undefined;

  const script = () => join(directory, "accounting.lua");
  const output = () => join(directory, "output");
  const printed = () => (existsSync(output()) ? readFileSync(output(), "latin1") : "");
  const exists = (name: string) => existsSync(join(scratch.path, name));
  const status = async () => (await daemon?.control({ command: "status" })) as DaemonStatus;
  const state = async () => (await status()).reaping?.accounting.state;

  /** @param body of the handler; `say` appends a line to a file */
  function write(body: string, more = ""): void {
    const text = `
      local function say(...)
        local f = assert(io.open(${JSON.stringify(output())}, "a"))
        f:write(table.concat({...}, " "), "\\n") f:close()
      end
      function cgroup_released(cgroup) ${body} end
      ${more}`;
    writeFileSync(script(), text, "latin1");
  }

  async function start(more = ""): Promise<void> {
    daemon = await TestDaemon.start({
      config: `[reaper]\ncgroup_root = "${scratch.path}"\nscopes = ["*.scope"]
        [accounting]\nscript = "${script()}"\n${more}`,
    });
  }

  beforeEach(() => {
    scratch = new ScratchCgroup();
    scratch.make("a.scope");
    directory = mkdtempSync(join(tmpdir(), "accounting-"));
    // Where the user of the script exists, it writes there as well.
    chmodSync(directory, 0o777);
  });

  afterEach(async () => {
    await daemon?.stop();
    daemon = undefined;
    await scratch.remove();
    rmSync(directory, { recursive: true });
  });

  it("hands cgroups to the script, children first, and deletes them afterwards", async () => {
    write(
      'say(cgroup.path, cgroup.report, cgroup.cpu_total > 0 and "used" or "unused", cgroup.id)',
    );
    await start();
    await scratch.runToEnd("a.scope/job/step");
    await until(() => !exists("a.scope/job"), "it is deleted");
    expect(printed().split("\n")).toEqual([
      expect.stringMatching(/^\/a\.scope\/job\/step 1 used \S+:\d+$/),
      expect.stringMatching(/^\/a\.scope\/job 1 used \S+:\d+$/),
      "",
    ]);
    expect((await status()).reaping?.accounting).toMatchObject({
      accounted: 2,
      waiting: 0,
      lost: 0,
    });
  });

  it("keeps a cgroup whose handler fails, logs the error, and tries again", async () => {
    write('tries = (tries or 0) + 1 say(tries) if tries < 2 then error("no luck") end');
    await start();
    await scratch.runToEnd("a.scope/job");
    await daemon?.untilLogged("/a.scope/job: ");
    expect(daemon?.log).toMatch(
      /\/a\.scope\/job: .*accounting\.lua:\d+: no luck\\nstack traceback:/,
    );
    expect(exists("a.scope/job")).toBe(true);
    await until(() => !exists("a.scope/job"), "it is deleted");
    expect(printed()).toBe("1\n2\n");
    expect((await status()).reaping?.accounting).toMatchObject({
      failed: 1,
      retried: 1,
      accounted: 1,
    });
  });

  it("keeps cgroups while the script is broken, and accounts them when it was repaired", async () => {
    writeFileSync(script(), "this is no Lua");
    await start();
    await daemon?.untilLogged("cgroups wait until the script is usable and reloaded:");
    await scratch.runToEnd("a.scope/job");
    await until(async () => (await status()).reaping?.accounting.waiting === 1, "it waits");
    expect(await state()).toBe("down");
    write("say(cgroup.path)");
    daemon?.child.kill("SIGHUP");
    await until(() => !exists("a.scope/job"), "it is deleted");
    expect(printed()).toBe("/a.scope/job\n");
  });

  it("calls reload on SIGHUP", async () => {
    write("", 'function reload() say("reloaded") end');
    await start();
    await until(async () => (await state()) === "ready", "the script is ready");
    daemon?.child.kill("SIGHUP");
    await until(() => printed() === "reloaded\n", "it was called");
  });

  it("only logs and deletes where the script has no handler", async () => {
    writeFileSync(script(), "x = 1");
    await start();
    await daemon?.untilLogged("function 'cgroup_released' not found");
    await scratch.runToEnd("a.scope/job");
    await until(() => !exists("a.scope/job"), "it is deleted");
    expect(await state()).toBe("idle");
  });

  it("accounts again what a killed daemon had not finished", async () => {
    write('say(cgroup.id) if not ready then error("later") end');
    await start();
    await scratch.runToEnd("a.scope/job");
    await until(() => printed() !== "", "the first attempt");
    await daemon?.end("SIGKILL");
    write("ready = true say(cgroup.id)");
    await start();
    await until(() => !exists("a.scope/job"), "it is deleted");
    const ids = printed().trim().split("\n");
    expect(new Set(ids).size).toBe(1);
    expect(ids.length).toBeGreaterThan(1);
  });

  it("survives a script host that is killed, one that is stopped, and one that hangs", async () => {
    write(`
      tries = (tries or 0) + 1
      local name = cgroup.path:match("[^/]*$")
      local marker = ${JSON.stringify(directory)} .. "/" .. name
      local f = io.open(marker)
      if f then f:close() say(name) return end
      assert(io.open(marker, "w")):close()
      if name == "hang" then ("a"):rep(40):find(("a-"):rep(40) .. "b") end
      coroutine.yield()`);
    await start("answer_seconds = 1\n");
    for (const [name, act] of [
      ["killed", (pid: number) => process.kill(pid, "SIGKILL")],
      ["stopped", (pid: number) => process.kill(pid, "SIGSTOP")],
      ["hang", () => true],
    ] as const) {
      await until(async () => (await state()) === "ready", "the script is ready");
      await scratch.runToEnd(`a.scope/${name}`);
      await until(() => existsSync(join(directory, name)), "the handler runs");
      act(hostPid());
      await until(() => !exists(`a.scope/${name}`), `${name} is deleted`);
    }
    expect(printed()).toBe("killed\nstopped\nhang\n");
    expect((await status()).reaping?.accounting).toMatchObject({ lost: 0, accounted: 3 });
  });

  /** The daemon's child that runs the script. */
  function hostPid(): number {
    const pid = daemon
      ?.childPids()
      .find((child) => readFileSync(`/proc/${child}/cmdline`, "latin1").includes("script host"));
    if (pid === undefined) throw new Error("there is no script host");
    return pid;
  }
});
