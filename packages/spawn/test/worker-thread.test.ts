/** Tests real worker threads: their answers, and their pending requests when they end. */
import { execFileSync } from "node:child_process";
import { readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { ThreadEndedError, WorkerThread } from "../src/thread/worker-thread.ts";
import type { TestDialogue } from "./thread-program/dialogue.ts";

const directory = join(import.meta.dirname, "..");
const script = join(directory, "dist/test/thread/worker.js");

let told: [number, string][] = [];
const threads: WorkerThread<TestDialogue>[] = [];

beforeAll(() => {
  execFileSync(process.execPath, ["test/thread-program/build.mjs"], { cwd: directory });
});

afterEach(async () => {
  for (const thread of threads) thread.post("stop");
  await Promise.allSettled(threads.splice(0).map(({ ended }) => ended));
  told = [];
});

function start(options: unknown = {}): WorkerThread<TestDialogue> {
  const thread = new WorkerThread<TestDialogue>({
    role: "test",
    options,
    script,
    events: { told: (number, text) => told.push([number, text]) },
    resourceLimits: { maxOldGenerationSizeMb: 32 },
  });
  // Without a handler, a rejection that a test does not look at would be reported as unhandled.
  thread.ended.catch(() => undefined);
  threads.push(thread);
  return thread;
}

/** Returns the error with which a promise is rejected. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise.then((value) => ({ unexpected: value }));
  } catch (error) {
    return error;
  }
}

function eventfds(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === "anon_inode:[eventfd]";
    } catch {
      // The descriptor of the directory itself, which is closed by now.
      return false;
    }
  }).length;
}

describe("a thread", () => {
  it("gets its role and options, and answers requests with their arguments", async () => {
    const thread = start({ list: [1, 2], set: new Set(["a"]) });
    expect(await thread.request("start")).toEqual({
      role: "test",
      options: { list: [1, 2], set: new Set(["a"]) },
    });
    expect(await thread.request("add", 2, 3)).toBe(5);
    expect(await thread.request("nothing")).toBeUndefined();
  });

  it("answers each request, even if late or in another order", async () => {
    const thread = start();
    const order: string[] = [];
    const held = ["a", "b", "c"].map(async (value) => {
      const answer = await thread.request("hold", value);
      order.push(answer);
      return answer;
    });
    expect(await thread.request("add", 1, 1)).toBe(2);
    expect(order).toEqual([]);
    thread.post("release");
    expect(await Promise.all(held)).toEqual(["a", "b", "c"]);
    expect(order).toEqual(["c", "b", "a"]);
  });

  it("gets commands in order, and before a later request", async () => {
    const thread = start();
    const words = Array.from({ length: 200 }, (_, i) => `word ${i}`);
    for (const word of words) thread.post("say", word);
    expect(await thread.request("takeSaid")).toEqual(words);
  });

  it("sends events in order, with all their arguments", async () => {
    const thread = start();
    thread.post("tell", 3);
    await thread.request("nothing");
    expect(told).toEqual([
      [0, "event 0"],
      [1, "event 1"],
      [2, "event 2"],
    ]);
  });

  it("refuses arguments that cannot be cloned, and continues", async () => {
    const thread = start();
    const unclonable = (() => undefined) as unknown as number;
    expect(await failure(thread.request("add", unclonable, 1))).toMatchObject({
      name: "DataCloneError",
    });
    expect(await thread.request("add", 4, 5)).toBe(9);
  });
});

describe("when a thread ends, its pending requests are rejected with the cause:", () => {
  it("an exception of a handler", async () => {
    const thread = start();
    const held = [thread.request("hold", "a"), thread.request("hold", "b")];
    const [cause, ...errors] = await Promise.all([
      failure(thread.ended),
      failure(thread.request("throwError", "broken")),
      ...held.map(failure),
    ]);
    expect(cause).toMatchObject({ message: "broken" });
    for (const error of errors) {
      expect(error).toBeInstanceOf(ThreadEndedError);
      expect(error).toHaveProperty("cause", cause);
    }
    expect(errors.map((error) => (error as Error).message)).toEqual([
      "the test thread has ended and does not answer: throwError",
      "the test thread has ended and does not answer: hold",
      "the test thread has ended and does not answer: hold",
    ]);
  });

  it("process.exit with a status", async () => {
    const thread = start();
    const error = await failure(thread.request("exit", 3));
    expect(error).toBeInstanceOf(ThreadEndedError);
    const cause = await failure(thread.ended);
    expect(cause).toMatchObject({ message: "the test thread exited (3)" });
    expect(error).toHaveProperty("cause", cause);
  });

  it("a return, which is not a failure", async () => {
    const thread = start();
    const held = thread.request("hold", "a");
    const error = await failure(thread.request("returnFirst"));
    expect(error).toBeInstanceOf(ThreadEndedError);
    expect(error).not.toHaveProperty("cause");
    expect(await failure(held)).toBeInstanceOf(ThreadEndedError);
    await thread.ended;
  });

  it("a stop that comes before the request is read", async () => {
    const thread = start();
    thread.post("stop");
    expect(await failure(thread.request("hold", "a"))).toBeInstanceOf(ThreadEndedError);
    await thread.ended;
  });

  it("out of memory", async () => {
    const thread = start();
    const held = thread.request("hold", "a");
    const error = await failure(thread.request("exhaustMemory"));
    expect(error).toMatchObject({
      name: "ThreadEndedError",
      cause: { code: "ERR_WORKER_OUT_OF_MEMORY" },
    });
    expect(await failure(held)).toBeInstanceOf(ThreadEndedError);
  });

  it("an answer that cannot be cloned", async () => {
    const thread = start();
    expect(await failure(thread.request("uncloneable"))).toMatchObject({
      name: "ThreadEndedError",
      cause: { message: expect.stringMatching(/^DataCloneError: .*could not be cloned/s) },
    });
  });

  it("a file that cannot be loaded", async () => {
    const thread = new WorkerThread<TestDialogue>({
      role: "missing",
      options: {},
      script: join(directory, "dist/test/thread/no-such-worker.js"),
      events: { told: () => undefined },
    });
    const [error, cause] = await Promise.all([
      failure(thread.request("nothing")),
      failure(thread.ended),
    ]);
    expect(error).toMatchObject({ name: "ThreadEndedError", cause });
    expect(cause).toMatchObject({ code: "MODULE_NOT_FOUND" });
  });
});

describe("messages that a thread sent before it ended", () => {
  it("are still delivered", async () => {
    const thread = start();
    thread.post("tell", 2);
    expect(await thread.request("answerThenThrow")).toBe("answered");
    expect(await failure(thread.ended)).toMatchObject({ message: "after the answer" });
    expect(told).toHaveLength(2);
  });
});

describe("a thread that has ended", () => {
  it("rejects requests immediately, ignores commands, and leaves no descriptor", async () => {
    const before = eventfds();
    const thread = start();
    expect(await thread.request("add", 1, 2)).toBe(3);
    expect(eventfds()).toBeGreaterThan(before);
    await failure(thread.request("throwError", "broken"));
    expect(await failure(thread.request("add", 1, 2))).toMatchObject({
      name: "ThreadEndedError",
      cause: { message: "broken" },
    });
    thread.post("say", "nobody hears it");
    expect(eventfds()).toBe(before);
  });
});
