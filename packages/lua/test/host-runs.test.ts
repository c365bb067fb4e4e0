/** Tests runs as the daemon and the script host see them. */
import { EventEmitter, once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Run } from "../src/run.ts";
import { NO_HANDLERS } from "../src/run-kinds.ts";
import { account, handler, kill, TestHosts } from "./host-support.ts";
import { encodedOf } from "./script.ts";

let hosts: TestHosts;
beforeAll(() => {
  hosts = new TestHosts();
});
afterEach(() => hosts.stopAll());
afterAll(() => hosts?.[Symbol.dispose]());

/** Behaves like a daemon that has not yet recorded that a run has begun. */
class Beginning {
  readonly #events = new EventEmitter();
  count = 0;

  readonly begin = async (): Promise<void> => {
    this.count++;
    const granted = once(this.#events, "granted");
    this.#events.emit("asked");
    await granted;
  };

  async asked(): Promise<void> {
    if (this.count === 0) await once(this.#events, "asked");
  }

  grant(): void {
    this.#events.emit("granted");
  }
}

const WAYS = [
  ["that can wait", "os.remove(FILE)"],
  ["that cannot wait", "('x'):gsub('x', function() os.remove(FILE) end)"],
] as const;

describe.each(WAYS)("a run with an effect %s:", (_, effect) => {
  const file = () => join(hosts.directory, "effect");
  const code = (rest: string) => {
    writeFileSync(file(), "");
    return `FILE = '${file()}' ${handler(`${effect} ${rest}`)}`;
  };

  it("the daemon is asked once, before the first effect", async () => {
    const host = await hosts.start(code("os.remove(FILE) error('boom', 0)"));
    const beginning = new Beginning();
    const outcome = account(host, {}, beginning);
    await beginning.asked();
    await delay(50);
    expect(existsSync(file())).toBe(true);
    beginning.grant();
    expect(await outcome).toMatchObject({ type: "failed", message: "boom", effect: "taken" });
    expect([existsSync(file()), beginning.count]).toEqual([false, 1]);
  });

  it("a refusal by the daemon is an error, and nothing is done", async () => {
    const host = await hosts.start(code(""));
    const begin = () => Promise.reject(new Error("no space left: ä"));
    expect(await account(host, {}, { begin })).toMatchObject({
      message: `${hosts.scriptPath}:1: no space left: ä`,
      effect: "none",
    });
    expect(existsSync(file())).toBe(true);
  });

  it("a script that bears repetition does not ask the daemon", async () => {
    const host = await hosts.start(`handlers_bear_repetition = true ${code("")}`);
    const beginning = new Beginning();
    expect(await account(host, {}, beginning)).toEqual({ type: "done" });
    expect(beginning.count).toBe(0);
    expect(host.handlers.bearsRepetition).toBe(true);
  });

  it("a script host that ends before the effect has done nothing", async () => {
    const host = await hosts.start(code(""));
    const beginning = new Beginning();
    const outcome = account(host, {}, beginning);
    await beginning.asked();
    kill(host, "SIGKILL");
    expect(await outcome).toMatchObject({ type: "interrupted", effect: "none" });
    beginning.grant();
    await once(host, "ready");
    expect(existsSync(file())).toBe(true);
  });

  it("a script host that ends later may have had the effect", async () => {
    const host = await hosts.start(code("coroutine.yield()"));
    const outcome = account(host);
    for (let i = 0; i < 500 && existsSync(file()); i++) await delay(10);
    kill(host, "SIGKILL");
    expect(await outcome).toMatchObject({ type: "interrupted", effect: "unanswered" });
  });

  it("a slow disk does not get the script host killed, and other requests are answered meanwhile", async () => {
    const host = await hosts.start(
      `function reload() print('reloaded') end ${code("print(cgroup.report)")}`,
      { answerTimeoutMs: 2000 },
    );
    const { pid } = host;
    const beginning = new Beginning();
    const first = account(host, { report: 1 }, beginning);
    await beginning.asked();
    const second = account(host, { report: 2 });
    host.reload();
    await delay(5000);
    beginning.grant();
    expect([await first, await second, host.pid]).toEqual([
      { type: "done" },
      { type: "done" },
      pid,
    ]);
    for (let i = 0; i < 500 && !hosts.printed.includes("reloaded"); i++) await delay(10);
    expect(hosts.printed.trim().split("\n").sort()).toEqual(["1", "2", "reloaded"]);
  });

  it.each([
    ["have not begun", "none", ""],
    ["have done nothing", "none", "os.remove('/nonexistent/x') print('begun')"],
    ["have done something", "taken", "os.remove(FILE) print('begun')"],
  ])("a script host told to stop reports that the runs it drops %s", async (_, known, done) => {
    const host = await hosts.start(
      `FILE = '${file()}' ${handler(`${done} print('waits') coroutine.yield()`)}`,
    );
    writeFileSync(file(), "");
    const outcome = account(host);
    for (let i = 0; i < 500 && !hosts.printed.includes("waits"); i++) await delay(10);
    await host.stop(0);
    expect(await outcome).toEqual({
      type: "interrupted",
      message: "the script host ended: it was told to",
      effect: known,
    });
  });

  it("a script host that is told to stop does not wait for the daemon", async () => {
    const host = await hosts.start(code(""));
    const beginning = new Beginning();
    const outcome = account(host, {}, beginning);
    await beginning.asked();
    await host.stop(0);
    expect(await outcome).toMatchObject({ type: "interrupted", effect: "none" });
    expect(existsSync(file())).toBe(true);
  });
});

describe("the script host and its records", () => {
  it("passes lists to handlers that take them", async () => {
    const host = await hosts.start(
      "function cgroups_released(list) for _, c in ipairs(list) do print(c.path) end end",
    );
    expect(host.handlers).toEqual({ ...NO_HANDLERS, released: "list" });
    const run: Run = { kind: "released", begin: async () => {} };
    const records = ["/a", "/b", "/c"].map((path) => encodedOf({ path }));
    expect(await host.run(records, run)).toEqual({ type: "done" });
    expect(hosts.printed).toBe("/a\n/b\n/c\n");
    const single = await hosts.start(handler(""));
    expect(() => single.run(records, run)).toThrow("the handler takes one cgroup, not 3");
  });

  it("passes running cgroups to their handler", async () => {
    const host = await hosts.start(
      "handlers_bear_repetition = true function cgroups_running(list) print(#list, list[1].path) end",
    );
    const run: Run = { kind: "running", begin: async () => {} };
    expect(await host.run([encodedOf({ path: "/a" }), encodedOf()], run)).toEqual({ type: "done" });
    expect(hosts.printed).toBe("2\t/a\n");
  });

  it("accepts the longest path, even in an error", async () => {
    const host = await hosts.start(
      handler("if cgroup.report == 2 then error(cgroup.path) end print(#cgroup.path)"),
    );
    const path = `/${"\x01".repeat(255)}`.repeat(200);
    expect(await account(host, { path })).toEqual({ type: "done" });
    expect(await account(host, { path, report: 2 })).toMatchObject({ type: "failed" });
    expect(hosts.printed).toBe(`${path.length}\n`);
  });

  it("takes answers to some requests while others are still being sent", async () => {
    const host = await hosts.start(handler(""));
    const { pid } = host;
    const large = encodedOf({ path: `/${"x".repeat(500_000)}` });
    const run: Run = { kind: "released", begin: async () => {} };
    const outcomes = await Promise.all(Array.from({ length: 64 }, () => host.run([large], run)));
    expect(new Set(outcomes.map(({ type }) => type))).toEqual(new Set(["done"]));
    expect(host.pid).toBe(pid);
  });

  it("refuses a list that is too long for a message, and goes on", async () => {
    const host = await hosts.start("function cgroups_released(list) end");
    const { pid } = host;
    const long = new Array(20).fill(encodedOf({ path: `/${"\x01".repeat(1_000_000)}` }));
    const run: Run = { kind: "released", begin: async () => {} };
    expect(await host.run([...long, ...long], run)).toMatchObject({
      type: "failed",
      message: expect.stringMatching(/^a message of \d+ bytes is too long$/),
      effect: "none",
    });
    expect(await host.run(long, run)).toEqual({ type: "done" });
    expect(host.pid).toBe(pid);
  });
});
