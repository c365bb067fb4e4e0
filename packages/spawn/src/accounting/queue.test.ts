import type { CgroupSnapshot } from "@cm4all/cgroup";
import { bytesOfText } from "@cm4all/linux";
import { pauseAfter } from "@cm4all/supervision";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type AccountingPolicy, AccountingQueue, HANDLER_PAUSES } from "./queue.ts";
import type { AccountingSink, SinkState } from "./sink.ts";

/** Handlers that end when the test says so. */
class FakeSink implements AccountingSink {
  #state: SinkState = "ready";
  #listener = () => {};
  readonly calls: string[] = [];
  readonly running = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();
  most = 0;
  room = Number.POSITIVE_INFINITY;

  get state(): SinkState {
    return this.#state;
  }

  set state(state: SinkState) {
    this.#state = state;
    this.#listener();
  }

  onStateChange(listener: () => void): void {
    this.#listener = listener;
  }

  account({ id, report }: CgroupSnapshot): Promise<void> {
    const name = `${id}#${report}`;
    this.calls.push(name);
    return new Promise((resolve, reject) => {
      this.running.set(name, { resolve, reject });
      this.most = Math.max(this.most, this.running.size);
    });
  }

  succeed(...names: string[]): void {
    for (const name of names.length > 0 ? names : [...this.running.keys()]) {
      this.running.get(name)?.resolve();
      this.running.delete(name);
    }
  }

  fail(message = "no database"): void {
    for (const { reject } of this.running.values()) reject(new Error(message));
    this.running.clear();
  }
}

let sink: FakeSink;
let settled: number[];
let log: string[];
let queue: AccountingQueue;
let number: number;
const releaser = { settle: (releases: readonly number[]) => settled.push(...releases) };

const DEFAULT_POLICY: AccountingPolicy = {
  retry: true,
  maxAgeMs: 3_600_000,
  maxWaiting: 10_000,
  maxRunning: 1000,
};

function open(policy: Partial<AccountingPolicy> = {}): void {
  queue = new AccountingQueue(sink, { ...DEFAULT_POLICY, ...policy }, (_, text) => log.push(text));
}

/** Releases cgroups, given as `id#report`. */
function release(...names: string[]): void {
  queue.add(
    names.map((name) => {
      const [id = "", report = "1"] = name.split("#");
      const path = bytesOfText(`/${id}`);
      return {
        number: number++,
        vanished: id.startsWith("vanished"),
        isFound: false,
        replaces: undefined,
        record: { snapshot: { path, id, report: Number(report), measuredMs: 0 }, xattrs: [] },
      };
    }),
    releaser,
  );
}

const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "setImmediate", "Date", "performance"],
  });
  sink = new FakeSink();
  settled = [];
  log = [];
  number = 1;
  open();
});

afterEach(() => {
  queue.close();
  vi.useRealTimers();
});

describe("AccountingQueue", () => {
  it("hands over in order and settles what succeeded", async () => {
    release("child", "parent");
    expect(sink.calls).toEqual(["child#1", "parent#1"]);
    sink.succeed("parent#1");
    await pass();
    expect(settled).toEqual([2]);
    expect(queue.metrics).toMatchObject({
      waitingCgroups: 1,
      runningHandlers: 1,
      accountedCgroups: 1,
    });
    sink.succeed();
    await pass();
    expect(settled).toEqual([2, 1]);
    expect(queue.metrics).toMatchObject({
      waitingCgroups: 0,
      runningHandlers: 0,
      accountedCgroups: 2,
    });
  });

  it("tries again with growing pauses, and logs an error once", async () => {
    release("a");
    for (const pauseMs of [1000, 2000, 4000, 8000]) {
      sink.fail();
      await pass(pauseMs - 1);
      expect(sink.running.size).toBe(0);
      await pass(1);
      expect(sink.running.size).toBe(1);
    }
    expect(settled).toEqual([]);
    expect(log).toEqual(["/a: no database"]);
    sink.succeed();
    await pass();
    expect(settled).toEqual([1]);
    expect(queue.metrics).toMatchObject({
      failedHandlers: 4,
      retriedHandlers: 4,
      accountedCgroups: 1,
      lostCgroups: 0,
    });
  });

  it("pauses for five minutes at most", () => {
    const pauses = [1, 2, 9, 10, 100].map((failures) => pauseAfter(HANDLER_PAUSES, failures));
    expect(pauses).toEqual([1000, 2000, 256_000, 300_000, 300_000]);
  });

  it("gives up what has failed for the longest age, logs and counts it", async () => {
    open({ maxAgeMs: 10_000 });
    release("a");
    sink.fail();
    await pass(1000);
    sink.fail("other");
    await pass(2000);
    sink.fail();
    // The fourth, from second 7 on, runs longer than its cgroup may fail.
    await pass(8000);
    expect(settled).toEqual([]);
    sink.fail("last");
    await pass();
    expect(settled).toEqual([1]);
    expect(log.at(-1)).toBe(
      "/a: not accounted, given up after 4 attempts: its handler has failed for 10 s; last error: last",
    );
    expect(queue.metrics).toMatchObject({ waitingCgroups: 0, lostCgroups: 1 });
    await pass(1_000_000);
    expect(sink.calls).toHaveLength(4);
  });

  it("calls a handler a last time when the longest age is over", async () => {
    open({ maxAgeMs: 10_000 });
    release("a");
    for (const pauseMs of [1000, 2000, 4000, 3000]) {
      sink.fail();
      await pass(pauseMs - 1);
      expect(sink.running.size).toBe(0);
      await pass(1);
      expect(sink.running.size).toBe(1);
    }
    expect(settled).toEqual([]);
    sink.fail();
    await pass();
    expect(settled).toEqual([1]);
    expect(queue.metrics.lostCgroups).toBe(1);
  });

  it.each([7_200_000, -7_200_000])(
    "takes no notice of a step of the wall clock",
    async (stepMs) => {
      release("a", "b");
      sink.fail();
      await pass(500);
      vi.setSystemTime(Date.now() + stepMs);
      release("c");
      sink.fail();
      await pass(500);
      expect(sink.running.size).toBe(2);
      sink.succeed();
      await pass(500);
      expect(sink.running.size).toBe(1);
      sink.succeed();
      await pass();
      expect(queue.metrics).toMatchObject({
        accountedCgroups: 3,
        lostCgroups: 0,
        waitingCgroups: 0,
      });
    },
  );

  it.each(["starting", "down"] as const)(
    "gives up nothing, for age or number, before it was tried (%s)",
    async (state) => {
      open({ maxAgeMs: 10_000, maxWaiting: 3 });
      sink.state = state;
      release("a", "b", "c", "d", "e");
      await pass(1_000_000);
      release("f");
      await pass();
      expect(queue.metrics).toMatchObject({ waitingCgroups: 6, lostCgroups: 0 });
      // The age counts from the first attempt.
      sink.state = "ready";
      sink.fail();
      await pass(9999);
      expect(queue.metrics).toMatchObject({ waitingCgroups: 6, lostCgroups: 0 });
      sink.succeed();
      await pass();
      expect(queue.metrics).toMatchObject({ accountedCgroups: 6, lostCgroups: 0 });
    },
  );

  it("gives up nothing while it cannot be tried", async () => {
    open({ maxAgeMs: 10_000, maxWaiting: 1 });
    release("a", "b");
    sink.fail();
    await pass();
    sink.state = "down";
    await pass(1_000_000);
    release("c");
    await pass();
    expect(queue.metrics).toMatchObject({ waitingCgroups: 3, lostCgroups: 0 });
    sink.state = "ready";
    sink.succeed();
    await pass();
    expect(queue.metrics).toMatchObject({ accountedCgroups: 3, lostCgroups: 0 });
  });

  it("gives up the oldest whose handler fails when there are too many, for a new one", async () => {
    open({ maxWaiting: 3 });
    release("a", "b", "c", "d", "e");
    await pass();
    expect(queue.metrics).toMatchObject({ runningHandlers: 5, lostCgroups: 0 });
    sink.fail();
    await pass();
    expect(settled).toEqual([]);
    release("f");
    await pass();
    expect(settled).toEqual([1, 2]);
    expect(log.at(-1)).toContain("the handlers of more than 3 cgroups fail");
    // c, d and e are called again: f makes room in vain until one has failed.
    await pass(1000);
    expect(queue.metrics).toMatchObject({ waitingCgroups: 4, runningHandlers: 4, lostCgroups: 2 });
    sink.fail();
    release("g");
    await pass();
    release("h");
    await pass();
    expect(settled).toEqual([1, 2, 3]);
  });

  it("calls no more handlers than the sink has room for", async () => {
    sink.room = 0;
    release("a");
    expect(sink.calls).toEqual([]);
    sink.room = 1;
    sink.state = "ready";
    expect(sink.calls).toEqual(["a#1"]);
  });

  it("without retries a failed cgroup is settled at once", async () => {
    open({ retry: false });
    release("a");
    sink.fail();
    await pass();
    expect(settled).toEqual([1]);
    expect(queue.metrics).toMatchObject({ failedHandlers: 1, lostCgroups: 0, waitingCgroups: 0 });
  });

  it("keeps to the number of running handlers", async () => {
    open({ maxRunning: 2 });
    release("a", "b", "c", "d", "e");
    for (let i = 0; i < 5; i++) {
      sink.succeed();
      await pass();
    }
    expect(sink.calls).toHaveLength(5);
    expect(sink.most).toBe(2);
  });

  it("waits for the host, and starts in order when it is ready", async () => {
    sink.state = "starting";
    release("a", "b");
    await pass(10_000);
    expect(sink.calls).toEqual([]);
    sink.state = "ready";
    expect(sink.calls).toEqual(["a#1", "b#1"]);
  });

  it("settles everything where the script has no handler", async () => {
    sink.state = "starting";
    release("a", "b");
    sink.state = "idle";
    release("c");
    await pass();
    expect(settled).toEqual([1, 2, 3]);
    expect(sink.calls).toEqual([]);
  });

  it("keeps what waits for a handler that was taken away, and settles what comes later", async () => {
    open({ maxRunning: 1 });
    release("a", "b", "waits");
    sink.succeed();
    await pass();
    sink.state = "idle";
    // The reaper had not heard of it yet.
    release("late");
    await pass(10_000_000);
    expect(settled).toEqual([1]);
    expect(log).toEqual(["2 cgroups wait until there is a handler"]);
    sink.state = "starting";
    release("d");
    sink.state = "idle";
    await pass();
    expect(settled).toEqual([1, 5]);
    sink.state = "starting";
    sink.state = "ready";
    for (let i = 0; i < 3; i++) {
      sink.succeed();
      await pass();
    }
    expect(sink.calls).toEqual(["a#1", "b#1", "waits#1", "late#1"]);
    expect(queue.metrics).toMatchObject({ accountedCgroups: 4, lostCgroups: 0, waitingCgroups: 0 });
  });

  it("keeps what waits for a script that could not be used, if it has no handler then", async () => {
    sink.state = "starting";
    release("a");
    sink.state = "down";
    release("b");
    sink.state = "starting";
    release("c");
    sink.state = "idle";
    await pass();
    expect(settled).toEqual([]);
    expect(queue.metrics.waitingCgroups).toBe(3);
  });

  it("replaces a report that waits by a later one of the same cgroup", async () => {
    release("a#1");
    sink.fail();
    await pass();
    release("a#2");
    expect(sink.calls).toEqual(["a#1", "a#2"]);
    await pass(5000);
    expect(sink.calls).toHaveLength(2);
    sink.succeed();
    await pass();
    expect(settled).toEqual([2]);
    expect(queue.metrics).toMatchObject({
      supersededReports: 1,
      waitingCgroups: 0,
      lostCgroups: 0,
    });
  });

  it.each(["succeed", "fail"] as const)(
    "hands over a later report when the running one has ended (%s)",
    async (how) => {
      release("a#1");
      release("a#2");
      release("a#3");
      expect(sink.calls).toEqual(["a#1"]);
      sink[how]();
      await pass();
      expect(sink.calls).toEqual(["a#1", "a#3"]);
      sink.succeed();
      await pass();
      expect(settled.at(-1)).toBe(3);
      expect(queue.metrics.waitingCgroups).toBe(0);
    },
  );

  it("hands over what vanished, and has nothing to settle", async () => {
    release("vanished");
    sink.succeed();
    await pass();
    expect(queue.metrics).toMatchObject({ accountedCgroups: 1, waitingCgroups: 0 });
    expect(settled).toEqual([]);
  });

  it("waits at the end for handlers that run, but not for pauses, and not for ever", async () => {
    release("a", "b");
    sink.fail();
    await pass();
    release("c");
    let isDrained = false;
    const drained = queue.drain(500).then(() => {
      isDrained = true;
    });
    await pass(100);
    expect(isDrained).toBe(false);
    sink.succeed();
    await pass();
    expect(isDrained).toBe(true);
    await drained;
    expect(queue.metrics.waitingCgroups).toBe(2);
    release("d");
    const second = queue.drain(500);
    await pass(500);
    await second;
  });

  it("does not wait at the end for a host that is down", async () => {
    sink.state = "down";
    release("a");
    await queue.drain(1_000_000);
  });
});
