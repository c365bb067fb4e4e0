/** Every effect, with a script host that is killed right before it and right after it. */
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { EFFECTS, effectScript, Outside } from "./effects.ts";
import { account, kill, TestHosts } from "./host-support.ts";

let hosts: TestHosts;
let outside: Outside;
beforeAll(() => {
  hosts = new TestHosts();
  outside = new Outside();
});
beforeEach(() => outside.reset());
afterEach(() => hosts.stopAll());
afterAll(() => {
  hosts?.[Symbol.dispose]();
  outside?.[Symbol.dispose]();
});

describe.each(Object.entries(EFFECTS))("%s", (_, { main = "", code, isSeen }) => {
  it("does not happen if the script host ends before the run may begin", async () => {
    const host = await hosts.start(effectScript(outside, main, code));
    const begin = async () => {
      const ended = once(host, "ended");
      kill(host, "SIGKILL");
      await ended;
    };
    const outcome = account(host, {}, { begin });
    expect(await outcome).toMatchObject({ type: "interrupted", effect: "none" });
    expect(isSeen(outside, hosts.printed)).toBe(false);
  });

  it("is unanswered if the script host ends after it", async () => {
    const host = await hosts.start(effectScript(outside, main, `${code} coroutine.yield()`));
    const outcome = account(host);
    for (let i = 0; i < 1000 && !isSeen(outside, hosts.printed); i++) await delay(10);
    kill(host, "SIGKILL");
    expect(await outcome).toMatchObject({ type: "interrupted", effect: "unanswered" });
  });
});

describe("a coroutine that waits when its handler ends", () => {
  /** Returns a script with a coroutine that waits for the resolution of a name. */
  const script = (rest: string) =>
    effectScript(
      outside,
      "",
      `coroutine.wrap(function()
         control_client:new("localhost:5478")
         local ok, why = pcall(function() assert(io.open(DIR .. "/made", "w")):close() end)
         print(ok, why)
       end)()
       ${rest}`,
    );

  it("may have effects if the handler has returned", async () => {
    const host = await hosts.start(script(""));
    const { pid } = host;
    expect(await account(host)).toEqual({ type: "done" });
    for (let i = 0; i < 1000 && hosts.printed === ""; i++) await delay(10);
    expect(hosts.printed).toMatch(/^true/);
    expect(outside.exists("made")).toBe(true);
    expect(host.pid).toBe(pid);
  });

  it("is never resumed if the handler has failed, because the handler may be called again", async () => {
    const host = await hosts.start(script("if cgroup.report == 1 then error('boom') end"));
    const { pid } = host;
    expect(await account(host)).toMatchObject({ type: "failed", effect: "none" });
    expect(await account(host, { report: 2 })).toEqual({ type: "done" });
    for (let i = 0; i < 1000 && hosts.printed === ""; i++) await delay(10);
    // The coroutine of the second call printed this; the coroutine of the first printed nothing.
    expect(hosts.printed).toMatch(/^true[^\n]*\n$/);
    expect(host.pid).toBe(pid);
  });
});
