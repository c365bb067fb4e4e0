/** How a run asks whether it may begin, and how its effects are reported. */
import { setImmediate as turn } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { openLibraries } from "../src/libs/index.ts";
import { lua, toBytes } from "../src/lua.ts";
import { EFFECTS, effectScript, Outside } from "./effects.ts";
import { type Open, TestScript } from "./script.ts";

let outside: Outside;
beforeAll(() => {
  outside = new Outside();
});
beforeEach(() => outside.reset());
afterAll(() => outside[Symbol.dispose]());

/** Notes whether an effect was already visible when the run asked whether it may begin. */
class Asked {
  readonly seen: boolean[] = [];
  readonly begin;

  constructor(isSeen: () => boolean) {
    const note = () => void this.seen.push(isSeen());
    this.begin = {
      ask: vi.fn(async () => {
        note();
        await turn();
        note();
      }),
      askSync: vi.fn(note),
    };
  }
}

describe.each(Object.entries(EFFECTS))("%s", (_, { main = "", code, isSeen }) => {
  let script: TestScript | undefined;
  afterEach(() => {
    script?.[Symbol.dispose]();
    script = undefined;
  });

  const seen = () => isSeen(outside, script?.printed ?? "");
  const asking = () => new Asked(seen);
  const load = (body: string, asked: Asked, more = "") => {
    const code = `${more} ${effectScript(outside, main, body)}`;
    script = new TestScript(code, { open: openLibraries, begin: asked.begin });
    return script;
  };

  it("waits until the run may begin, and is counted when the handler then fails", async () => {
    const asked = asking();
    const loaded = load(`${code} os.remove('/nonexistent/x') error('boom', 0)`, asked);
    expect(await loaded.outcome()).toMatchObject({ message: "boom", effect: "taken" });
    expect(seen()).toBe(true);
    expect(asked.seen).toEqual([false, false]);
    expect(asked.begin.askSync).not.toHaveBeenCalled();
  });

  it("waits and is counted inside pcall and in a coroutine", async () => {
    const asked = asking();
    const loaded = load(
      `coroutine.wrap(function() pcall(function() ${code} error('caught') end) error('boom', 0) end)() coroutine.yield()`,
      asked,
    );
    const outcome = await Promise.race([loaded.outcome(), turn().then(turn).then(turn)]);
    expect(outcome).toBeUndefined();
    expect([seen(), asked.seen]).toEqual([true, [false, false]]);
    expect(loaded.errors).toEqual(["a coroutine: boom"]);
  });

  it("blocks where no coroutine can be suspended", async () => {
    const asked = asking();
    const loaded = load(`('x'):gsub('x', function() ${code} end) error('boom', 0)`, asked);
    expect(await loaded.outcome()).toMatchObject({ message: "boom", effect: "taken" });
    expect([seen(), asked.seen]).toEqual([true, [false]]);
    expect(asked.begin.ask).not.toHaveBeenCalled();
  });

  it("needs no permission if the handlers may be called again", async () => {
    const asked = asking();
    const loaded = load(`${code} error('boom', 0)`, asked, "handlers_bear_repetition = true");
    expect(await loaded.outcome()).toMatchObject({ effect: "taken" });
    expect([seen(), asked.seen]).toEqual([true, []]);
  });

  it.each([
    ["", ""],
    ["('x'):gsub('x', function()", "end)"],
  ])("is an error and does nothing if it is refused: %s", async (before, after) => {
    const asked = asking();
    const refuse = () => {
      throw new Error("the disk is full");
    };
    asked.begin.ask.mockImplementation(async () => refuse());
    asked.begin.askSync.mockImplementation(refuse);
    const loaded = load(`${before} ${code} ${after}`, asked);
    expect(await loaded.outcome()).toMatchObject({
      message: expect.stringMatching(/script\.lua:\d+: the disk is full$/),
      effect: "none",
    });
    expect(seen()).toBe(false);
  });
});

describe("no effect", () => {
  it.each([
    "print('x') io.write('y') io.stderr:write('') io.output():flush()",
    "io.open(DIR .. '/kept'):read('*a') io.lines(DIR .. '/kept')() io.input(DIR .. '/kept')",
    "local f = io.tmpfile() f:write('x') f:close()",
    "os.getenv('HOME') os.date() os.execute() require('table')",
    "control_client:new(ADDRESS):build():fade_children('x')",
    "io.type(io.output(io.stdout)) io.popen",
  ])("is in %s", async (body) => {
    const asked = new Asked(() => false);
    const code = body.replace(/ io\.popen$/, " local _ = io.popen");
    using script = new TestScript(effectScript(outside, "", `${code} error('boom', 0)`), {
      open: openLibraries,
      begin: asked.begin,
    });
    expect(await script.outcome()).toMatchObject({ message: "boom", effect: "none" });
    expect(asked.seen).toEqual([]);
  });

  it.each([
    "io.open('/nonexistent/x', 'w')",
    "pcall(io.output, '/nonexistent/x')",
    "os.remove('/nonexistent/x')",
    "os.rename('/nonexistent/x', '/nonexistent/y')",
    "io.open('/dev/full', 'w'):write('x')",
  ])("comes from calls that fail, such as %s", async (body) => {
    const asked = new Asked(() => false);
    const isOpened = body.includes("/dev/full");
    const [main, code] = isOpened ? ["f = io.open('/dev/full', 'w')", "f:write('x')"] : ["", body];
    using script = new TestScript(effectScript(outside, main, `${code} error('boom', 0)`), {
      begin: asked.begin,
    });
    expect(await script.outcome()).toMatchObject({ message: "boom", effect: "none" });
    expect(asked.seen).toHaveLength(2);
  });

  it("is counted in the main chunk or in reload, which do not ask", () => {
    const asked = new Asked(() => false);
    using script = new TestScript(
      effectScript(
        outside,
        "os.remove(DIR .. '/kept') function reload() io.open(DIR .. '/new', 'w') end",
        "",
      ),
      { begin: asked.begin },
    );
    script.runtime.reload();
    expect([outside.exists("kept"), outside.exists("new"), asked.seen]).toEqual([false, true, []]);
  });
});

describe("a run", () => {
  it("has written all output when it ends, even if nothing was flushed", async () => {
    using script = new TestScript(
      effectScript(outside, "f = io.open(DIR .. '/new', 'a')", "f:write(cgroup.report, '\\n')"),
    );
    await script.handle({ report: 1 });
    expect(outside.text("new")).toBe("1\n");
    await script.handle({ report: 2 });
    expect(outside.text("new")).toBe("1\n2\n");
  });

  it("is charged with the effects of its coroutine, even if another run resumes the coroutine", async () => {
    const asked = new Asked(() => false);
    using script = new TestScript(
      effectScript(
        outside,
        "",
        `if cgroup.report == 1 then
           first = coroutine.running()
           coroutine.yield()
           os.remove(DIR .. '/kept')
           error('first', 0)
         end
         coroutine.resume(first)
         error('second', 0)`,
      ),
      { begin: asked.begin },
    );
    const first = script.outcome({ report: 1 });
    expect(await script.outcome({ report: 2 })).toMatchObject({
      message: "second",
      effect: "none",
    });
    expect(await first).toMatchObject({ message: "first", effect: "taken" });
  });
});

/**
 * Gives scripts two functions: `request()`, which waits for an answer from the test, and
 * `disconnect()`, which makes a lost connection the cause if the run fails.
 */
class Requests {
  readonly answers: ((came: "none" | "taken") => void)[] = [];
  abandoned = 0;

  readonly open: Open = (L, runtime) => {
    lua.lua_pushcfunction(L, (thread) =>
      runtime.scheduler.suspend(thread, () => {
        const answer = runtime.scheduler.current?.effects?.sent();
        if (answer !== undefined) this.answers.push(answer);
        return { result: new Promise(() => {}), push: () => 0, abandon: () => this.abandoned++ };
      }),
    );
    lua.lua_setglobal(L, toBytes("request"));
    lua.lua_pushcfunction(L, () => {
      const task = runtime.scheduler.current;
      if (task !== undefined) task.cause = "connection";
      return 0;
    });
    lua.lua_setglobal(L, toBytes("disconnect"));
  };
}

describe("a run that did not end in time", () => {
  afterEach(() => vi.useRealTimers());

  it("is reported when its requests are answered", async () => {
    const requests = new Requests();
    using script = new TestScript(
      "function cgroup_released() coroutine.wrap(request)() coroutine.wrap(request)() request() end",
      { open: requests.open, handlerTimeoutMs: 20 },
    );
    let isTold = false;
    const outcome = script.outcome().finally(() => {
      isTold = true;
    });
    await vi.waitFor(() => expect(requests.abandoned).toBe(3));
    requests.answers[0]?.("none");
    requests.answers[1]?.("taken");
    await turn();
    expect(isTold).toBe(false);
    requests.answers[2]?.("none");
    expect(await outcome).toMatchObject({
      message: expect.stringContaining("did not end within"),
      effect: "taken",
    });
  });

  it("is reported as unanswered if no answer comes within 5 s", async () => {
    vi.useFakeTimers();
    const requests = new Requests();
    using script = new TestScript("function cgroup_released() request() end", {
      open: requests.open,
      handlerTimeoutMs: 20,
    });
    const settled = vi.fn();
    void script.outcome().then(settled);
    await vi.advanceTimersByTimeAsync(5019);
    expect(settled).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(settled).toHaveBeenCalledWith(expect.objectContaining({ effect: "unanswered" }));
  });
});

describe("a run that fails", () => {
  it("ends the waits of its own coroutines", async () => {
    const requests = new Requests();
    using script = new TestScript(
      "function cgroup_released() coroutine.wrap(request)() error('boom', 0) end",
      { open: requests.open },
    );
    const outcome = script.outcome();
    expect(requests.abandoned).toBe(1);
    requests.answers[0]?.("none");
    expect(await outcome).toMatchObject({ message: "boom", effect: "none", cause: "script" });
  });

  it("has the cause that the database library has set", async () => {
    using script = new TestScript("function cgroup_released() disconnect() error('boom', 0) end", {
      open: new Requests().open,
    });
    expect(await script.outcome()).toMatchObject({ effect: "none", cause: "connection" });
  });
});
