import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { inTime, isAlive, missing, readProc } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { checkScript } from "../src/check.ts";
import { account, handler, kill, TestHosts } from "./host-support.ts";

let hosts: TestHosts;
beforeAll(() => {
  hosts = new TestHosts();
});
afterEach(() => hosts.stopAll());
afterAll(() => hosts?.[Symbol.dispose]());

describe("the script host", () => {
  it("runs handlers, from a bundle in a directory of its own", async () => {
    const host = await hosts.start(
      handler("print(cgroup.path, cgroup.cpu_total, cgroup.memory_peak)"),
    );
    expect(host.room).toBe(64);
    expect(await account(host, { cpuTotalUsec: 1_500_000 })).toEqual({ type: "done" });
    expect(hosts.printed).toBe("/system.slice/test.scope/a\t1.5\tnil\n");
    expect(host.running).toBe(0);
  });

  it("passes any path, byte for byte", async () => {
    const host = await hosts.start(handler("io.write(cgroup.path, '\\n') error(cgroup.path, 0)"));
    const bytes = Buffer.from([...Array(255).keys()].map((i) => i + 1));
    const path = `/${bytes.toString("latin1")}`;
    const outcome = await account(host, { path });
    expect(hosts.printed).toBe(`${path}\n`);
    expect(outcome).toMatchObject({
      type: "failed",
      message: Buffer.from(path, "latin1").toString(),
    });
  });

  it("returns failures with message and traceback", async () => {
    const host = await hosts.start(handler("\nlocal t = nil\nreturn t.x"));
    const outcome = await account(host);
    expect(outcome).toEqual({
      type: "failed",
      message: `${hosts.scriptPath}:3: attempt to index local 't' (a nil value)`,
      traceback: expect.stringContaining("stack traceback:"),
      effect: "none",
      cause: "script",
    });
    expect(await account(host)).toMatchObject({ type: "failed" });
  });

  it("stops endless loops, and goes on", async () => {
    const host = await hosts.start(
      handler(
        "if cgroup.report == 1 then while true do end elseif cgroup.report == 2 then ('a'):rep(40):find(('a-'):rep(40) .. 'b') end",
      ),
      { instructions: 1_000_000 },
    );
    const { pid } = host;
    expect(await account(host)).toMatchObject({
      message: expect.stringMatching(
        /script\.lua:1: the handler of \/system\.slice\/test\.scope\/a ran 1000000 instr/,
      ),
    });
    expect(await account(host, { report: 2 })).toMatchObject({ type: "failed" });
    expect(await account(host, { report: 3 })).toEqual({ type: "done" });
    expect(host.pid).toBe(pid);
  });

  it("bounds the number of running handlers", async () => {
    const host = await hosts.start(handler("coroutine.yield()"), {
      maxRunning: 2,
      handlerTimeoutMs: 200,
    });
    const first = account(host);
    const second = account(host);
    expect(host.room).toBe(0);
    expect(() => account(host)).toThrow("no room");
    expect(await first).toMatchObject({
      message: expect.stringMatching(/did not end within 0\.2 s/),
    });
    expect(host.room).toBeGreaterThan(0);
    expect(await second).toMatchObject({ type: "failed" });
  });

  it("reports scripts that cannot be used, and loads them again on reload", async () => {
    const host = hosts.make(hosts.options("this is no Lua"));
    host.start();
    const [message] = await once(host, "unusable");
    expect(message).toBe(`${hosts.scriptPath}:1: '=' expected near 'is'`);
    expect([host.state, host.room]).toEqual(["unusable", 0]);
    writeFileSync(hosts.scriptPath, handler("print('repaired')"));
    host.reload();
    await once(host, "ready");
    expect(await account(host)).toEqual({ type: "done" });
    expect(hosts.printed).toContain("repaired");
  });

  it("loads a script again if that is asked for while an earlier version is being loaded", async () => {
    // The script fixes its own file after the file has been read.
    const mend = `local f = io.open("${hosts.scriptPath}", "w") f:write([[${handler("")}]]) f:close()`;
    const host = hosts.make(hosts.options(`${mend} error("a mistake")`));
    host.start();
    host.reload();
    await once(host, "ready");
  });

  it("calls reload, and reports its errors", async () => {
    const host = await hosts.start(
      `function reload() print('reloaded') error('in reload', 0) end ${handler("")}`,
    );
    host.reload();
    const [source, message] = await once(host, "scriptError");
    expect([source, message, hosts.printed]).toEqual(["reload", "in reload", "reloaded\n"]);
  });

  it("shows the name of its script in UTF-8", async () => {
    const script = join(hosts.directory, "skript-ä€.lua");
    writeFileSync(script, "-- no handler");
    const host = hosts.make(hosts.options("", { script }));
    host.start();
    const [warning] = await once(host, "ready");
    expect(warning).toContain("/skript-ä€.lua: function 'cgroup_released' not found");
  });

  it("warns of a script without a handler", async () => {
    const host = hosts.make(hosts.options("x = 1"));
    host.start();
    const [warning] = await once(host, "ready");
    expect(warning).toMatch(/function 'cgroup_released' not found/);
    expect(await account(host)).toEqual({ type: "done" });
  });

  it("is replaced if it is killed", async () => {
    const host = await hosts.start(handler("coroutine.yield()"));
    const { pid } = host;
    const running = account(host);
    const ended = once(host, "ended");
    kill(host, "SIGKILL");
    expect(await running).toEqual({
      type: "interrupted",
      message: "the script host ended: killed by SIGKILL",
      effect: "none",
    });
    expect(await ended).toEqual(["killed by SIGKILL", 500]);
    expect(host.state).toBe("pausing");
    await once(host, "ready");
    expect(host.pid).not.toBe(pid);
  });

  it("is replaced if it gets SIGSTOP, or blocks", async () => {
    const host = await hosts.start(
      handler("if cgroup.report == 2 then os.execute('sleep 100') end"),
      {
        // On a busy machine, a script host takes time to start.
        answerTimeoutMs: 5000,
      },
    );
    kill(host, "SIGSTOP");
    expect(await account(host)).toMatchObject({
      type: "interrupted",
      message: expect.stringMatching(/no sign of life for \d+ s/),
    });
    await once(host, "ready");
    expect(await account(host, { report: 2 })).toMatchObject({ type: "interrupted" });
    await once(host, "ready");
    expect(await account(host, { report: 3 })).toEqual({ type: "done" });
  });

  it("is replaced if its script uses up its memory", async () => {
    const host = await hosts.start(
      handler(
        "if cgroup.report < 4 then kept = kept or {} for i = 1, 1e9 do kept[#kept + 1] = {i} end end",
      ),
      { memoryMiB: 48, instructions: 1e12 },
    );
    const { pid } = host;
    const ended = once(host, "ended");
    for (const report of [1, 2, 3])
      expect(await account(host, { report })).toMatchObject({
        type: "failed",
        message: expect.stringMatching(/^not enough memory/),
      });
    expect(await ended).toMatchObject(["exit status 1", expect.anything()]);
    await once(host, "ready");
    expect(await account(host, { report: 4 })).toEqual({ type: "done" });
    expect(host.pid).not.toBe(pid);
  });

  it("is replaced after longer and longer pauses if it does no work", async () => {
    const host = hosts.make(hosts.options("os.exit(3)"));
    const pauses: unknown[] = [];
    host.on("ended", (reason, pause) => pauses.push([reason, pause]));
    host.start();
    await once(host, "ended");
    await once(host, "ended");
    await once(host, "ended");
    expect(pauses).toEqual([
      ["exit status 3", 500],
      ["exit status 3", 1000],
      ["exit status 3", 2000],
    ]);
  });

  it("gives running handlers a bounded time to end when it is stopped", async () => {
    const host = await hosts.start(handler("coroutine.yield()"));
    const running = account(host);
    const begin = performance.now();
    await host.stop(300);
    expect(performance.now() - begin).toBeGreaterThan(290);
    expect(performance.now() - begin).toBeLessThan(1500);
    expect(await running).toMatchObject({ type: "interrupted" });
    expect([host.state, host.pid]).toEqual(["stopped", undefined]);
  });

  it("is ended if it does not react to a request to stop", async () => {
    const host = await hosts.start(handler(`os.execute("kill -STOP $PPID")`));
    const running = account(host);
    const state = () => readProc(host.pid ?? 0, "status");
    await vi.waitUntil(() => /^State:\tT/m.test(state()), { timeout: 20_000 });
    await inTime(host.stop(0), "it has ended");
    expect(await running).toMatchObject({
      type: "interrupted",
      message: "the script host ended: it did not stop within 0.7 s",
      effect: "unanswered",
    });
  });

  it("does not start again if it is stopped while it starts", async () => {
    for (const pauseMs of [0, 50, 100, 150, 200, 300]) {
      const host = hosts.make(hosts.options("function cgroup_released(c) end"));
      const states: string[] = [];
      host.start();
      host.on("state", (state) => states.push(state));
      await delay(pauseMs);
      await host.stop(0);
      await delay(700);
      expect(host.pid).toBeUndefined();
      expect(states.at(-1)).toBe("stopped");
    }
  });

  it("ends sooner if it is stopped again", async () => {
    const host = await hosts.start("function cgroup_released(c) coroutine.yield() end");
    const outcome = account(host);
    const first = host.stop(60_000);
    await host.stop(0);
    await first;
    expect(host.state).toBe("stopped");
    expect((await outcome).type).toBe("interrupted");
  });

  it("sleeps while there is nothing to do", async () => {
    const host = await hosts.start(handler(""));
    await account(host);
    await delay(2500);
    const switches = () =>
      Number(
        /^voluntary_ctxt_switches:\s*(\d+)/m.exec(
          readFileSync(`/proc/${host.pid}/status`, "utf8"),
        )?.[1],
      );
    const before = switches();
    await delay(3000);
    expect(switches() - before).toBeLessThanOrEqual(1);
  });

  it("ends with its daemon, even while it blocks", async () => {
    const code = `
      const { spawn } = require("node:child_process");
      const child = spawn(process.execPath, [process.argv[1]], { stdio: ["ignore", "inherit", "inherit", "pipe"] });
      const send = (message) => {
        const json = JSON.stringify(message);
        const length = Buffer.alloc(4);
        length.writeUInt32LE(json.length);
        child.stdio[3].write(length);
        child.stdio[3].write(json);
      };
      send({ type: "start", settings: { script: process.argv[2], instructions: 1e9, handlerTimeoutMs: 1e6 } });
      child.stdio[3].once("data", () => {
        const snapshot = { path: "/x", id: "1", report: 1, measuredMs: 0 };
        send({ type: "run", number: 1, kind: "released", records: [{ snapshot, xattrs: [] }] });
        setTimeout(() => console.log(child.pid), 300);
      });`;
    for (const body of ["coroutine.yield()", "os.execute('sleep 3')"]) {
      writeFileSync(hosts.scriptPath, `handlers_bear_repetition = true ${handler(body)}`);
      const daemon = spawn(process.execPath, ["-e", code, hosts.program, hosts.scriptPath], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [line] = await once(daemon.stdout, "data");
      const pid = Number(String(line));
      expect(existsSync(`/proc/${pid}`)).toBe(true);
      daemon.kill("SIGKILL");
      await once(daemon, "exit");
      for (let i = 0; i < 500 && isAlive(pid); i++) await delay(20);
      expect(isAlive(pid)).toBe(false);
    }
  });

  it.skipIf(missing("root") !== undefined)("runs as another user", async () => {
    const host = await hosts.start(
      handler("local h = io.popen('id -u; id -G') print(h:read('*a')) print(os.getenv('UNSET'))"),
      {
        uid: 65534,
        gid: 65534,
      },
    );
    expect(await account(host)).toEqual({ type: "done" });
    expect(hosts.printed.trim().split(/\n+/)).toEqual(["65534", "65534", "nil"]);
  });
});

describe("checkScript", () => {
  it("reports mistakes", async () => {
    expect(await checkScript(hosts.options(handler("")))).toEqual({ usable: true });
    expect(await checkScript(hosts.options(""))).toMatchObject({
      usable: true,
      warning: expect.any(String),
    });
    expect(await checkScript(hosts.options("error('boom')"))).toMatchObject({
      usable: false,
      message: `${hosts.scriptPath}:1: boom`,
      traceback: expect.stringContaining("in main chunk"),
    });
    expect(await checkScript(hosts.options("", { script: "/nonexistent.lua" }))).toEqual({
      usable: false,
      message: "cannot open /nonexistent.lua: No such file or directory",
    });
    expect(
      await checkScript(hosts.options("while true do end", { instructions: 1e6 })),
    ).toMatchObject({
      usable: false,
      message: expect.stringMatching(/script\.lua:1: the script ran 1000000 instructions/),
    });
  });
});
