import { type EncodedRecord, encodeRecord } from "@cm4all/cgroup";
import { RecordState } from "@cm4all/journal";
import { bytesOfText } from "@cm4all/linux";
import { type Handlers, NO_HANDLERS, type Outcome, type Run } from "@cm4all/lua";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { AccountingPolicy } from "../../config/accounting.ts";
import { parseConfig } from "../../config.ts";
import type { DamagedRecord, WaitingRecord, WindowPage } from "../journal/window.ts";
import type { AccountingSink, SinkState } from "../script/sink.ts";
import { HANDLER_PAUSES } from "./failing.ts";
import { PROBE_PAUSES } from "./outage.ts";
import { AccountingQueue, type QueueParts } from "./queue.ts";

const { WAITING, BEGAN, PARKED, GONE, ACCOUNTED } = RecordState;

/** Handlers that end when the test says so. */
class FakeSink implements AccountingSink {
  #state: SinkState = "ready";
  #listener = () => {};
  handlers: Handlers = { ...NO_HANDLERS, released: "one" };
  readonly calls: string[] = [];
  readonly running = new Map<string, { run: Run; end: (outcome: Outcome) => void }>();
  most = 0;
  maxRunning = Number.POSITIVE_INFINITY;

  get state(): SinkState {
    return this.#state;
  }

  set state(state: SinkState) {
    this.#state = state;
    this.#listener();
  }

  get room(): number {
    return this.#state === "ready" ? this.maxRunning - this.running.size : 0;
  }

  onStateChange(listener: () => void): void {
    this.#listener = listener;
  }

  run(records: readonly EncodedRecord[], run: Run): Promise<Outcome> {
    const name = records.map(({ id, report }) => `${id}#${report}`).join(" ");
    this.calls.push(run.kind === "released" ? name : `${run.kind} ${name}`);
    return new Promise((end) => {
      this.running.set(name, { run, end });
      this.most = Math.max(this.most, this.running.size);
    });
  }

  /** Ends the handlers of these records, or all handlers. */
  end(outcome: Outcome, ...names: string[]): void {
    for (const name of names.length > 0 ? names : [...this.running.keys()]) {
      const { end } = this.running.get(name) ?? {};
      this.running.delete(name);
      end?.(outcome);
    }
  }

  succeed(...names: string[]): void {
    this.end({ type: "done" }, ...names);
  }

  /** Fails like a script that has had no effect yet. */
  fail(message = "mistake", ...names: string[]): void {
    this.end({ type: "failed", message, effect: "none", cause: "script" }, ...names);
  }

  /** Fails like a script that cannot reach its database. */
  disconnect(...names: string[]): void {
    const message = "no database";
    this.end({ type: "failed", message, effect: "none", cause: "connection" }, ...names);
  }

  async begin(name: string): Promise<void> {
    await this.running.get(name)?.run.begin();
  }
}

/** A journal without a disk. */
class Records {
  readonly #records: EncodedRecord[] = [];
  readonly states: RecordState[] = [];
  /** The size of each record. */
  bytes = 500;
  readonly notes: string[] = [];
  readonly marks: string[] = [];
  #next = 0;
  /** The number of reads of the journal. */
  reads = 0;
  /** The number of a damaged record, if any. */
  damaged: number | undefined;
  /** The error with which reads fail, if any. */
  failure: Error | undefined;

  append(id: string, report: number): number {
    const snapshot = { path: bytesOfText(`/${id}`), id, report, measuredMs: 0 };
    this.states.push(WAITING);
    return this.#records.push(encodeRecord({ snapshot, xattrs: [] })) - 1;
  }

  async read(count: number, isTaken: (number: number) => boolean): Promise<WindowPage> {
    this.reads++;
    if (this.failure !== undefined) throw this.failure;
    const records: WaitingRecord[] = [];
    const damaged: DamagedRecord[] = [];
    for (; records.length < count && this.#next < this.#records.length; this.#next++) {
      const record = this.#records[this.#next];
      if (record === undefined || this.state(this.#next) !== WAITING || isTaken(this.#next))
        continue;
      if (this.#next === this.damaged) damaged.push({ number: this.#next, reason: "no record" });
      else records.push({ number: this.#next, record, bytes: this.bytes });
    }
    return { records, damaged };
  }

  async readAgain(number: number): Promise<EncodedRecord | undefined> {
    return number === this.damaged ? undefined : this.#records[number];
  }

  rewind(number: number): void {
    this.#next = Math.min(this.#next, number);
  }

  state(number: number): RecordState | undefined {
    return this.states[number];
  }

  async begin(numbers: readonly number[]): Promise<void> {
    for (const number of numbers) await this.mark(number, BEGAN);
  }

  /** The numbers of records that were marked with `markLater`. */
  readonly later: number[] = [];

  markLater(number: number, state: RecordState): Promise<void> {
    this.later.push(number);
    return this.mark(number, state);
  }

  async mark(number: number, state: RecordState, note?: string): Promise<void> {
    this.states[number] = state;
    this.marks.push(`${number}:${state}`);
    if (note !== undefined) this.notes[number] = note;
  }

  /** Returns how many records are in this state. */
  count(state: RecordState): number {
    return this.states.filter((each) => each === state).length;
  }
}

let sink: FakeSink;
let records: Records;
let kept: Set<number>;
let log: string[];
let queue: AccountingQueue;

const DEFAULT_POLICY = parseConfig("", "spawn.toml", () => undefined).accounting.policy;

function open(policy: Partial<AccountingPolicy> = {}): void {
  const parts: QueueParts = {
    sink,
    window: records,
    journal: records,
    isKept: (number) => kept.has(number),
    log: (_, text) => log.push(text),
    nowMs: () => performance.now(),
  };
  queue = new AccountingQueue(parts, { ...DEFAULT_POLICY, ...policy });
}

/** Adds waiting records, given as `id#report`. */
async function release(...names: string[]): Promise<void> {
  for (const name of names) {
    const [id = "", report = "1"] = name.split("#");
    records.append(id, Number(report));
  }
  queue.wake();
  await pass();
}

const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms);
const list: Handlers = { ...NO_HANDLERS, released: "list" };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] });
  sink = new FakeSink();
  records = new Records();
  kept = new Set();
  log = [];
  open();
});

afterEach(() => {
  queue.close();
  vi.useRealTimers();
});

describe("the queue", () => {
  it("hands over records in order, and drops those whose handlers succeeded", async () => {
    await release("child", "parent");
    expect(sink.calls).toEqual(["child#1", "parent#1"]);
    expect(queue.runningHandlers).toBe(2);
    sink.succeed("parent#1");
    await pass();
    expect(records.states).toEqual([WAITING, GONE]);
    sink.succeed();
    await pass();
    expect(records.states).toEqual([GONE, GONE]);
    expect(queue.counts.accountedCgroups).toBe(2);
    expect(queue.runningHandlers).toBe(0);
  });

  it("uses `markLater` for records whose handler succeeded and that were not marked as begun", async () => {
    await release("a");
    sink.succeed();
    await pass();
    expect(records.later).toEqual([0]);
    await release("b");
    await sink.begin("b#1");
    sink.succeed();
    await pass();
    expect([records.states, records.later]).toEqual([[GONE, GONE], [0]]);
  });

  it("calls no more handlers than the sink has room for, and keeps the records of cgroups whose directories still exist", async () => {
    sink.maxRunning = 2;
    kept.add(1);
    await release("a", "b", "c", "d", "e");
    for (let i = 0; i < 5; i++) {
      sink.succeed();
      await pass();
    }
    expect(sink.calls).toHaveLength(5);
    expect(sink.most).toBe(2);
    expect(records.states).toEqual([GONE, ACCOUNTED, GONE, GONE, GONE]);
  });

  it.each(["starting", "down", "idle"] as const)("waits while the sink is %s", async (state) => {
    sink.state = state;
    await release("a", "b");
    await pass(10_000_000);
    expect(sink.calls).toEqual([]);
    expect(records.count(WAITING)).toBe(2);
    sink.state = "ready";
    await pass();
    expect(sink.calls).toEqual(["a#1", "b#1"]);
  });

  it("keeps a bounded number of records in memory, and reads more in order", async () => {
    sink.maxRunning = 1;
    await release(...Array.from({ length: 5000 }, (_, i) => `c${i}`));
    let most = 0;
    for (let i = 0; i < 5000; i++) {
      if (i % 100 === 0) {
        const held = records.states.filter((_, number) => queue.find(number) !== undefined).length;
        most = Math.max(most, held);
      }
      sink.succeed();
      await pass();
    }
    expect(sink.calls).toEqual(Array.from({ length: 5000 }, (_, i) => `c${i}#1`));
    expect(most).toBeLessThanOrEqual(1001);
  });

  it("tries again to read a record that cannot be read, and logs the failure once", async () => {
    records.failure = new Error("EIO");
    await release("a");
    await pass(3000);
    expect(log).toEqual(["cannot read the journal: EIO"]);
    records.failure = undefined;
    await pass(1000);
    expect(sink.calls).toEqual(["a#1"]);
  });

  it("lets records be withdrawn until their handlers run", async () => {
    sink.maxRunning = 1;
    await release("a", "b");
    expect([0, 1, 99].map((number) => queue.tryWithdraw(number))).toEqual([false, true, true]);
    sink.succeed();
    await pass();
    expect(sink.calls).toEqual(["a#1"]);
  });
});

describe("a failure without an effect", () => {
  it("is followed by another call after growing pauses, and logged once", async () => {
    await release("a");
    for (const pauseMs of HANDLER_PAUSES.slice(0, 4)) {
      sink.fail();
      await pass(pauseMs - 1);
      expect(sink.running.size).toBe(0);
      await pass(1);
      expect(sink.running.size).toBe(1);
    }
    expect(records.states).toEqual([WAITING]);
    expect(log).toEqual(["/a: mistake"]);
    sink.succeed();
    await pass();
    expect(queue.counts).toMatchObject({ failedHandlers: 4, retriedHandlers: 4, lostCgroups: 0 });
  });

  it("parks a large record that is found damaged when it is read again after a pause", async () => {
    records.bytes = 17 * 1024;
    await release("a");
    sink.fail();
    await pass();
    records.damaged = 0;
    await pass(1000);
    expect([sink.running.size, queue.find(0)]).toEqual([0, undefined]);
    expect([records.states, records.notes]).toEqual([[PARKED], ["no record"]]);
  });

  it("sets a record that was marked as begun back to waiting", async () => {
    await release("a");
    await sink.begin("a#1");
    expect(records.states).toEqual([BEGAN]);
    sink.fail();
    await pass();
    expect(records.states).toEqual([WAITING]);
  });

  it("parks the record at the maximum age, after a last call, if others succeed", async () => {
    // The fourth pause is cut to the time that is left.
    const pauses = [...HANDLER_PAUSES.slice(0, 3), HANDLER_PAUSES[0]];
    open({ maxAgeMs: pauses.reduce((sum, ms) => sum + ms) });
    await release("a");
    for (const [i, pauseMs] of pauses.entries()) {
      sink.fail();
      await release(`other-${i}`);
      sink.succeed();
      await pass(pauseMs - 1);
      expect(sink.running.size).toBe(0);
      await pass(1);
      expect(sink.running.size).toBe(1);
    }
    sink.fail("last");
    await pass();
    expect(records.states).toEqual([PARKED, GONE, GONE, GONE, GONE]);
    expect(records.notes[0]).toBe("its handler has failed 5 times: last");
    expect(log.at(-1)).toBe(
      '/a: parked, see "cm4all-spawn accounting": its handler has failed 5 times: last',
    );
    await pass(1_000_000);
    expect(sink.calls.filter((name) => name === "a#1")).toHaveLength(5);
    expect(queue.counts.lostCgroups).toBe(0);
  });

  it.each([7_200_000, -7_200_000])(
    "is not affected by a step of the clock: %d ms",
    async (step) => {
      open({ maxAgeMs: 10_000 });
      await release("a");
      sink.fail();
      await pass(HANDLER_PAUSES[0] / 2);
      vi.setSystemTime(Date.now() + step);
      await pass(HANDLER_PAUSES[0] / 2);
      expect(sink.running.size).toBe(1);
      sink.fail();
      await pass();
      expect(records.states).toEqual([WAITING]);
    },
  );

  it("parks the oldest record if the handlers of too many cgroups fail", async () => {
    open({ maxWaiting: 3 });
    await release("ok");
    sink.succeed();
    await pass();
    for (const name of ["a", "b", "c", "d", "e"]) {
      await release(name, `after-${name}`);
      sink.fail("mistake", `${name}#1`);
      await pass();
      sink.succeed(`after-${name}#1`);
      await pass();
    }
    expect(records.count(PARKED)).toBe(2);
    expect(records.states.slice(1, 4)).toEqual([PARKED, GONE, PARKED]);
    expect(log.at(-1)).toContain("the handlers of more than 3 cgroups fail");
  });

  it("loses the record if retries are off, and counts it as lost", async () => {
    open({ retry: false });
    await release("a", "b");
    sink.fail("mistake", "a#1");
    sink.disconnect("b#1");
    await pass(1_000_000);
    expect(records.states).toEqual([GONE, GONE]);
    expect(sink.calls).toHaveLength(2);
    expect(queue.counts).toMatchObject({ failedHandlers: 2, lostCgroups: 2 });
  });

  it("parks no record if the script host ends while several handlers run; after the second time, the handler of each of these records runs alone", async () => {
    await release("a", "b", "guilty");
    for (let i = 0; i < 2; i++) {
      sink.end({ type: "interrupted", message: "killed", effect: "none" });
      await pass(2 * HANDLER_PAUSES[0]);
    }
    for (let i = 0; i < 20; i++) {
      const names = [...sink.running.keys()];
      expect(names.length).toBeLessThanOrEqual(1);
      if (names[0]?.startsWith("guilty"))
        sink.end({ type: "interrupted", message: "killed", effect: "none" });
      else sink.succeed();
      await pass(1000);
    }
    expect(records.states).toEqual([GONE, GONE, WAITING]);
  });
});

describe("a failure after an effect", () => {
  it.each([
    ["taken", "its handler failed after it had had an effect: mistake"],
    ["unanswered", "its handler failed after it had sent something that was not answered: mistake"],
  ] as const)("parks the record: %s", async (effect, reason) => {
    await release("a");
    await sink.begin("a#1");
    sink.end({ type: "failed", message: "mistake", effect, cause: "script" });
    await pass(1_000_000);
    expect(records.states).toEqual([PARKED]);
    expect(records.notes[0]).toBe(reason);
    expect(sink.calls).toHaveLength(1);
  });

  it("parks the record if the script host has ended", async () => {
    await release("a");
    sink.end({ type: "interrupted", message: "killed", effect: "unanswered" });
    await pass();
    expect(records.states).toEqual([PARKED]);
  });

  it("is followed by another call if the script tolerates repetition", async () => {
    sink.handlers = { ...sink.handlers, bearsRepetition: true };
    await release("a");
    sink.end({ type: "failed", message: "mistake", effect: "taken", cause: "script" });
    await pass(HANDLER_PAUSES[0]);
    expect(sink.calls).toHaveLength(2);
    expect(records.states).toEqual([WAITING]);
  });

  it("loses the record if retries are off", async () => {
    open({ retry: false });
    await release("a");
    sink.end({ type: "failed", message: "mistake", effect: "taken", cause: "script" });
    await pass();
    expect(records.states).toEqual([GONE]);
    expect(queue.counts.lostCgroups).toBe(1);
  });
});

describe("an outage", () => {
  const names = Array.from({ length: 20 }, (_, i) => `c${i}`);

  it("lets only one handler run at a time, with growing pauses, until one succeeds", async () => {
    sink.maxRunning = 8;
    await release(...names);
    expect(sink.running.size).toBe(8);
    sink.disconnect();
    await pass();
    expect(sink.running.size).toBe(0);
    const longestMs = PROBE_PAUSES.at(-1) ?? 0;
    for (const pauseMs of [...PROBE_PAUSES, longestMs]) {
      await pass(pauseMs - 1);
      expect(sink.running.size).toBe(0);
      await pass(1);
      expect(sink.running.size).toBe(1);
      sink.disconnect();
      await pass();
    }
    await pass(longestMs);
    sink.succeed();
    await pass();
    expect(sink.running.size).toBe(8);
    for (let i = 0; i < 3; i++) {
      sink.succeed();
      await pass();
    }
    expect(records.count(GONE)).toBe(20);
    // One line for the failure, one for the outage, one for its end.
    expect(log).toHaveLength(3);
  });

  it("leads to a probe immediately after a reload, and its pauses start anew", async () => {
    await release(...names);
    sink.disconnect();
    await pass();
    for (const pauseMs of PROBE_PAUSES.slice(0, 3)) {
      await pass(pauseMs);
      sink.disconnect();
      await pass();
    }
    queue.probe();
    await pass(1);
    expect(sink.running.size).toBe(1);
    // A probe is already running.
    queue.probe();
    await pass(1);
    expect(sink.running.size).toBe(1);
    sink.disconnect();
    await pass(PROBE_PAUSES[0]);
    expect(sink.running.size).toBe(1);
    sink.succeed();
    await pass();
    queue.probe();
    expect(sink.running.size).toBeGreaterThan(1);
  });

  it("does not begin again when a probe fails after the outage has ended", async () => {
    await release("slow", "a", "b");
    sink.disconnect("a#1", "b#1");
    await pass(PROBE_PAUSES[0]);
    expect([...sink.running.keys()]).toEqual(["slow#1", "a#1"]);
    sink.succeed("slow#1");
    await pass();
    expect(queue.isFailing).toBe(false);
    sink.fail("mistake", "a#1");
    await pass();
    expect(queue.isFailing).toBe(false);
  });

  it("does not begin again when a probe fails after `retry` was set to false", async () => {
    await release("a", "b", "c");
    sink.disconnect();
    await pass(PROBE_PAUSES[0]);
    expect(sink.running.size).toBe(1);
    queue.configure({ ...DEFAULT_POLICY, retry: false });
    sink.disconnect("a#1");
    await pass();
    expect(queue.isFailing).toBe(false);
    expect(queue.counts.lostCgroups).toBe(1);
  });

  it("parks nothing, however long it lasts and whatever the errors are", async () => {
    open({ maxAgeMs: 10_000, maxWaiting: 3 });
    await release(...names);
    sink.fail("relation does not exist");
    for (let i = 0; i < 200; i++) {
      await pass(30_000);
      expect(sink.running.size).toBeLessThanOrEqual(1);
      sink.fail("relation does not exist");
    }
    await pass();
    expect(records.count(WAITING)).toBe(20);
    for (let i = 0; i < 100; i++) {
      sink.succeed();
      await pass(30_000);
    }
    expect(records.count(GONE)).toBe(20);
  });

  it("parks no record that waits alone, as on a night without other work", async () => {
    open({ maxAgeMs: 10_000 });
    await release("a");
    for (let i = 0; i < 10; i++) {
      sink.fail("cannot execute INSERT in a read-only transaction");
      await pass(HANDLER_PAUSES.at(-1));
    }
    expect(records.states).toEqual([WAITING]);
    await release("b");
    sink.succeed("b#1");
    await pass();
    sink.fail();
    await pass();
    expect(records.states).toEqual([PARKED, GONE]);
  });

  it("does not begin if the handler of a single record fails, even if that handler loses its connection each time", async () => {
    sink.maxRunning = 2;
    await release("bad", "a");
    for (let i = 0; i < 20; i++) {
      sink.succeed(...[...sink.running.keys()].filter((name) => !name.startsWith("bad")));
      sink.disconnect();
      await pass(1000);
      await release(`b${i}`);
    }
    sink.succeed();
    await pass();
    expect(queue.counts.accountedCgroups).toBeGreaterThanOrEqual(20);
    expect(sink.calls.filter((name) => name === "bad#1").length).toBeLessThan(8);
  });

  it("ends when retries are switched off", async () => {
    await release("a", "b");
    sink.disconnect();
    await pass();
    queue.configure({ ...DEFAULT_POLICY, retry: false });
    await pass();
    expect(sink.running.size).toBe(2);
  });
});

describe("reports of the same cgroup", () => {
  it("are replaced by a later one while they wait", async () => {
    await release("a#1");
    sink.fail();
    await pass();
    await release("a#2");
    expect(sink.calls).toEqual(["a#1", "a#2"]);
    await pass(5000);
    expect(sink.calls).toHaveLength(2);
    sink.succeed();
    await pass();
    expect(records.states).toEqual([GONE, GONE]);
    expect(queue.counts).toMatchObject({ supersededReports: 1, accountedCgroups: 1 });
  });

  it.each(["succeed", "fail"] as const)(
    "wait until the running handler has ended: %s",
    async (how) => {
      for (const name of ["a#1", "a#2", "a#3"]) await release(name);
      expect(sink.calls).toEqual(["a#1"]);
      sink[how]();
      await pass();
      expect(sink.calls).toEqual(["a#1", "a#3"]);
      sink.succeed();
      await pass();
      expect(records.states).toEqual([GONE, GONE, GONE]);
    },
  );

  it("that are parked do not hold up a later one", async () => {
    await release("a#1");
    await release("a#2");
    sink.end({ type: "failed", message: "mistake", effect: "taken", cause: "script" });
    await pass();
    expect(records.states).toEqual([PARKED, WAITING]);
    queue.follows(1, 0);
    sink.succeed();
    await pass();
    // The second stays in the journal, so that a retry of the first is refused: a later report has
    // been accounted.
    expect(records.states).toEqual([PARKED, ACCOUNTED]);
  });
});

describe("a handler of lists", () => {
  beforeEach(() => {
    sink.handlers = list;
    open({ batch: 4 });
  });

  it("gets the ready records, up to the batch size, one list at a time, each id once", async () => {
    await release("a", "b", "c", "a#2", "d", "e");
    expect(sink.calls).toEqual(["b#1 c#1 a#2 d#1"]);
    await release("f");
    sink.succeed();
    await pass();
    expect(sink.calls.slice(1)).toEqual(["e#1 f#1"]);
    sink.succeed();
    await pass();
    await release("g");
    expect(sink.calls.slice(2)).toEqual(["g#1"]);
    expect(queue.counts).toMatchObject({ accountedCgroups: 6, supersededReports: 1 });
  });

  it("has its list split in half until the bad record is alone and no longer affects others", async () => {
    await release("a", "b", "bad", "d");
    const judgeAll = async () => {
      for (const name of [...sink.running.keys()])
        if (name.includes("bad")) sink.fail("mistake", name);
        else sink.succeed(name);
      await pass();
    };
    for (let i = 0; i < 5; i++) await judgeAll();
    expect(sink.calls).toEqual(["a#1 b#1 bad#1 d#1", "a#1 b#1", "bad#1 d#1", "bad#1", "d#1"]);
    expect(records.states).toEqual([GONE, GONE, WAITING, GONE]);
    await pass(HANDLER_PAUSES[0] - 1);
    await release("e", "f");
    await judgeAll();
    await pass(1);
    await release("g");
    expect(sink.calls.slice(5)).toEqual(["e#1 f#1", "bad#1"]);
  });

  it("gets no list that is longer than the script host can take, and no further records are read ahead", async () => {
    records.bytes = 2 ** 21;
    await release("a", "b", "c", "d", "e", "f");
    expect(sink.calls).toEqual(["a#1 b#1"]);
    records.reads = 0;
    await release("g");
    // Four records are in memory, which is enough.
    expect(records.reads).toBe(0);
    for (let i = 0; i < 3; i++) {
      sink.succeed();
      await pass();
    }
    expect(sink.calls.slice(1)).toEqual(["c#1 d#1", "e#1 f#1", "g#1"]);
  });

  it("has the whole list wait for the database", async () => {
    await release("a", "b", "c");
    sink.disconnect();
    await pass(PROBE_PAUSES[0]);
    expect(sink.calls.at(-1)).toBe("a#1");
    sink.succeed();
    await pass();
    expect(sink.calls.at(-1)).toBe("b#1 c#1");
  });

  it("has its record parked with a log line that has no line breaks", async () => {
    await release("a");
    await sink.begin("a#1");
    const message = "ERROR: no\nDETAIL: such row\n";
    sink.end({ type: "failed", message, effect: "unanswered", cause: "script" });
    await pass();
    expect(records.states).toEqual([PARKED]);
    expect(log.at(-1)).toMatch(/parked, .*ERROR: no \| DETAIL: such row$/);
  });

  it("has the whole list parked if it has begun and may have had an effect", async () => {
    await release("a", "b");
    await sink.begin("a#1 b#1");
    expect(records.states).toEqual([BEGAN, BEGAN]);
    sink.end({ type: "failed", message: "lost", effect: "unanswered", cause: "connection" });
    await pass(1_000_000);
    expect(records.states).toEqual([PARKED, PARKED]);
    expect(log.at(-1)).toContain("/a and 1 other: parked");
  });

  it("has its list split even after an effect if it tolerates repetition", async () => {
    sink.handlers = { ...list, bearsRepetition: true };
    await release("a", "b");
    sink.end({ type: "failed", message: "mistake", effect: "taken", cause: "script" });
    await pass();
    expect(sink.calls).toEqual(["a#1 b#1", "a#1"]);
  });

  it("has no list split in an outage", async () => {
    await release("a", "b", "c", "d");
    for (let i = 0; i < 20; i++) {
      sink.fail("relation does not exist");
      await pass();
    }
    expect(sink.calls.length).toBeLessThan(6);
    await pass(60_000);
    sink.succeed();
    await pass(300_000);
    while (sink.running.size > 0) {
      sink.succeed();
      await pass(1);
    }
    expect(records.count(GONE)).toBe(4);
  });
});

describe("interim reports", () => {
  const interim = (...ids: string[]) =>
    queue.interim(
      ids.map((id) => {
        const snapshot = { path: bytesOfText(`/${id}`), id, report: 0, measuredMs: 0 };
        return encodeRecord({ snapshot, xattrs: [] });
      }),
    );

  it.each([
    ["there is no handler", { ...NO_HANDLERS, released: "one", bearsRepetition: true }],
    ["handlers do not tolerate repetition", { ...NO_HANDLERS, released: "one", running: "one" }],
  ] as const)("are dropped if %s", async (_, handlers) => {
    sink.handlers = handlers;
    interim("a");
    sink.handlers = { ...NO_HANDLERS, released: "one", running: "one", bearsRepetition: true };
    queue.wake();
    await pass();
    expect(sink.calls).toEqual([]);
  });

  it("are handed over at the same time as final ones, and dropped while no script host is ready", async () => {
    sink.handlers = { ...NO_HANDLERS, released: "one", running: "one", bearsRepetition: true };
    sink.state = "down";
    interim("early");
    sink.state = "ready";
    await release("z");
    interim("a", "b");
    expect(sink.calls).toEqual(["z#1", "running a#0", "running b#0"]);
    sink.succeed();
    await pass();
    expect(queue.interimReports).toBe(2);
    expect(queue.counts.accountedCgroups).toBe(1);
  });

  it("come in lists if the handler takes lists", async () => {
    sink.handlers = { ...NO_HANDLERS, released: "list", running: "list", bearsRepetition: true };
    interim("a");
    interim("b", "c");
    expect(sink.calls).toEqual(["running a#0"]);
    sink.succeed();
    await pass();
    expect(sink.calls.at(-1)).toBe("running b#0 c#0");
  });

  it("fail with one log line, whatever the message contains", async () => {
    sink.handlers = { ...NO_HANDLERS, released: "one", running: "one", bearsRepetition: true };
    interim("a");
    sink.fail("ERROR: no\nDETAIL: such row\n");
    await pass();
    expect(log).toEqual(["interim report: ERROR: no | DETAIL: such row"]);
  });

  it("are never handed over after or together with the final report, which waits for their end", async () => {
    sink.handlers = { ...NO_HANDLERS, released: "one", running: "one", bearsRepetition: true };
    sink.maxRunning = 1;
    interim("a", "b");
    queue.becameEmpty("a");
    await release("a");
    interim("a");
    expect(sink.calls).toEqual(["running a#0"]);
    sink.maxRunning = 2;
    sink.succeed();
    await pass();
    expect(sink.calls.slice(1).toSorted()).toEqual(["a#1", "running b#0"]);
    interim("a");
    sink.succeed();
    await pass();
    expect(sink.calls).toHaveLength(3);
  });

  it("make the final report wait while their handler runs, even if there is room", async () => {
    sink.handlers = { ...NO_HANDLERS, released: "one", running: "one", bearsRepetition: true };
    interim("a");
    queue.becameEmpty("a");
    await release("a");
    await release("z");
    expect(sink.calls).toEqual(["running a#0", "z#1"]);
    sink.succeed();
    await pass();
    expect(sink.calls).toEqual(["running a#0", "z#1", "a#1"]);
  });
});

describe("the end", () => {
  it("waits for running handlers, but not for pauses, and not forever", async () => {
    await release("a", "b");
    sink.fail("mistake", "a#1");
    await pass();
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
    await release("d");
    await pass(10_000);
    expect(sink.calls).toHaveLength(2);
    const second = queue.drain(500);
    await pass(500);
    await second;
  });
});
