/** Tests the order of writes and deletions; accounting.test.ts tests their results. */
import { encodeRecord, recordSize } from "@cm4all/cgroup";
import { JournalClosed, RecordState } from "@cm4all/journal";
import { bytesOfText, MAX_PASSED_BYTES } from "@cm4all/linux";
import { collectsGarbage } from "@cm4all/testing";
import { beforeEach, describe, expect, it } from "vitest";
import type { Release } from "../../reaper/messages.ts";
import type { FoundRecord } from "../journal/journal-lookup.ts";
import type { WaitingRecord } from "../journal/window.ts";
import { Intake } from "./intake.ts";

/** A journal whose disk answers when the test says so. */
class SlowJournal {
  readonly states: RecordState[] = [];
  readonly reports: number[] = [];
  readonly #waiting: (() => void)[] = [];
  /** The bytes of appends that are not answered yet. */
  pendingBytes = 0;
  mostBytes = 0;
  isClosed = false;
  /** True if the disk is already writing a record by the time that its release is withdrawn. */
  hasBegun = false;

  async append(payload: Buffer, isWanted: () => boolean): Promise<number | undefined> {
    if (this.isClosed) throw new JournalClosed("the journal is closed");
    this.pendingBytes += payload.length;
    this.mostBytes = Math.max(this.mostBytes, this.pendingBytes);
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.pendingBytes -= payload.length;
    if (!this.hasBegun && !isWanted()) return undefined;
    this.reports.push(JSON.parse(payload.toString()).snapshot.report);
    return this.states.push(RecordState.WAITING) - 1;
  }

  state(number: number): RecordState | undefined {
    return this.states[number];
  }

  async mark(number: number, state: RecordState): Promise<void> {
    this.states[number] = state;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Lets the disk answer everything that has been requested so far. */
  async sync(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    for (const resolve of this.#waiting.splice(0)) resolve();
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
  }
}

let journal: SlowJournal;
let intake: Intake;
let answers: number[];
let takenBytes: number;
let handedOver: number[];
/** The records that were in memory when they were handed over. */
let fresh: WaitingRecord[];
/** The number of each record on the disk. */
let extended: number[];
/** The number of each record that follows an earlier one of its cgroup, and the earlier number. */
let following: [later: number, earlier: number][];
let running: Set<number>;
/** The number of times that the queue was told that there may be something to do. */
let wakes: number;
let emptied: string[];
let found: Map<string, FoundRecord[]>;

beforeEach(async () => {
  journal = new SlowJournal();
  answers = [];
  handedOver = [];
  fresh = [];
  extended = [];
  following = [];
  running = new Set();
  wakes = 0;
  emptied = [];
  found = new Map();
  intake = new Intake({
    store: journal,
    window: {
      extend: (number) => extended.push(number),
      add: (number, record) => {
        handedOver.push(number);
        if (record !== undefined) fresh.push(record);
      },
      openBoot: () => {},
    },
    queue: {
      tryWithdraw: (number) => !running.has(number),
      follows: (later, earlier) => following.push([later, earlier]),
      becameEmpty: (id) => emptied.push(id),
      wake: () => wakes++,
    },
    find: async () => found,
    log: () => {},
  });
  takenBytes = 0;
  intake.connect(releaser());
});

function releaser() {
  return {
    journalled: (releases: readonly number[], bytes: number) => {
      answers.push(...releases);
      takenBytes += bytes;
    },
  };
}

function recordOf(id: string) {
  const snapshot = { path: bytesOfText(`/${id}`), id, report: 1, measuredMs: 0, cpuTotalUsec: 100 };
  return encodeRecord({ snapshot, xattrs: [] });
}

const SIZE = recordSize(recordOf("a"));

function release(number: number, fields: Partial<Release> & { usec?: number } = {}): void {
  const { usec = 100, ...rest } = fields;
  const snapshot = {
    path: bytesOfText("/a"),
    id: "a",
    report: 1,
    measuredMs: 0,
    cpuTotalUsec: usec,
  };
  const record = encodeRecord({ snapshot, xattrs: [] });
  const all = { number, record, vanished: false, isFound: false, replaces: undefined, ...rest };
  intake.released([all]);
}

async function start(): Promise<void> {
  intake.setAccounting(true);
  await intake.scanned([], []);
}

describe("the intake", () => {
  it("answers when the record is on the disk, and hands it over when its directory is gone", async () => {
    await start();
    release(1);
    // The queue is told immediately, so that no interim report can come after the final one.
    expect(emptied).toEqual(["a"]);
    expect(intake.hasBecomeEmpty("a")).toBe(true);
    await new Promise((resolve) => setImmediate(resolve));
    expect(answers).toEqual([]);
    await journal.sync();
    expect(answers).toEqual([1]);
    expect([intake.isHeld(0), handedOver]).toEqual([true, []]);
    intake.deleted([1]);
    expect([intake.isHeld(0), handedOver]).toEqual([false, [0]]);
    expect([intake.isKept(0), intake.hasBecomeEmpty("a")]).toEqual([false, false]);
  });

  it("wakes the queue when it has handed over a record", async () => {
    await start();
    release(1);
    await journal.sync();
    const before = wakes;
    intake.kept([1]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(wakes).toBe(before + 1);
  });

  it("keeps a record until it is accounted, even if its directory is gone", async () => {
    await start();
    release(1);
    await journal.sync();
    intake.kept([1]);
    intake.deleted([1]);
    expect(journal.states).toEqual([RecordState.WAITING]);
  });

  it("keeps an accounted record as long as an earlier report of its cgroup is parked", async () => {
    journal.states.push(RecordState.PARKED, RecordState.ACCOUNTED);
    found.set("a", [
      { number: 0, report: 1, cpuTotalUsec: 50 },
      { number: 1, report: 2, cpuTotalUsec: 100 },
    ]);
    await start();
    expect(journal.states).toEqual([RecordState.PARKED, RecordState.ACCOUNTED]);
    expect(handedOver).toEqual([]);
  });

  it("hands over no record before the one that it replaces is marked as gone on the disk", async () => {
    await start();
    release(1);
    await journal.sync();
    release(2, { usec: 200, replaces: 1 });
    await journal.sync();
    expect(journal.states).toEqual([RecordState.REPLACED]);
    await journal.sync();
    expect(journal.states).toEqual([RecordState.GONE, RecordState.WAITING]);
    // Another program has removed the directory meanwhile.
    intake.deleted([2]);
    expect([answers, handedOver]).toEqual([[1], []]);
    await journal.sync();
    expect(handedOver).toEqual([1]);
  });

  it("counts the reports that a later one has replaced", async () => {
    await start();
    release(1);
    await journal.sync();
    expect(intake.counts.supersededReports).toBe(0);
    release(2, { usec: 200, replaces: 1 });
    for (let i = 0; i < 3; i++) await journal.sync();
    expect(intake.counts.supersededReports).toBe(1);
    expect(handedOver).toEqual([]);
  });

  it("replaces no record whose handler runs: the later one follows it", async () => {
    await start();
    release(1);
    await journal.sync();
    intake.kept([1]);
    running.add(0);
    release(2, { usec: 1000 });
    for (let i = 0; i < 3; i++) await journal.sync();
    expect(journal.states).toEqual([RecordState.WAITING, RecordState.WAITING]);
    expect(journal.reports).toEqual([1, 2]);
    expect([extended, following]).toEqual([[0, 1], [[1, 0]]]);
  });

  it("keeps small records in memory until they are handed over, but no large ones", async () => {
    await start();
    const xattrs = [[[bytesOfText("user.a"), bytesOfText("x".repeat(17 * 1024))] as const]];
    const snapshot = { path: bytesOfText("/b"), id: "b", report: 1, measuredMs: 0 };
    release(1);
    release(2, { record: encodeRecord({ snapshot, xattrs }) });
    await journal.sync();
    intake.deleted([1, 2]);
    expect(handedOver).toEqual([0, 1]);
    const { json } = recordOf("a");
    const record = expect.objectContaining({ json, id: "a" });
    expect(fresh).toEqual([{ number: 0, record, bytes: json.length }]);
  });

  it("keeps at most a thousand records in memory while directories are not deleted", async () => {
    await start();
    const numbers = Array.from({ length: 1003 }, (_, i) => i);
    for (const i of numbers.slice(0, 1000)) release(i, { record: recordOf(`${i}`) });
    await journal.sync();
    for (const i of numbers.slice(1000)) release(i, { record: recordOf(`${i}`) });
    await journal.sync();
    intake.deleted(numbers);
    expect(handedOver).toEqual(numbers);
    expect(fresh.map(({ number }) => number)).toEqual(numbers.slice(0, 1000));
  });

  it("hands over each release once", async () => {
    await start();
    release(1);
    await journal.sync();
    intake.kept([1]);
    intake.kept([1]);
    intake.deleted([1]);
    expect(handedOver).toEqual([0]);
  });

  it("hands over no record before it is written, even if its directory cannot be deleted", async () => {
    await start();
    release(1);
    intake.kept([1]);
    expect(handedOver).toEqual([]);
    await journal.sync();
    intake.kept([1]);
    expect(handedOver).toEqual([0]);
  });

  it("writes the records of a cgroup in order, each after the one before it", async () => {
    await start();
    release(1);
    release(2, { usec: 200, replaces: 1 });
    release(3, { usec: 300, replaces: 2 });
    for (let i = 0; i < 8; i++) await journal.sync();
    expect(journal.states).toEqual([RecordState.GONE, RecordState.GONE, RecordState.WAITING]);
    intake.deleted([3]);
    expect([answers.at(-1), handedOver]).toEqual([3, [2]]);
  });

  it("keeps nothing of a release that was replaced", async () => {
    await start();
    release(1);
    await journal.sync();
    release(2, { usec: 200, replaces: 1 });
    for (let i = 0; i < 3; i++) await journal.sync();
    // The first release is no longer known.
    intake.kept([1]);
    expect(handedOver).toEqual([]);
    intake.kept([2]);
    expect(handedOver).toEqual([1]);
  });

  it("limits the number of bytes that wait for the disk", async () => {
    await start();
    const xattrs = [[[bytesOfText("user.a"), bytesOfText("x".repeat(2 ** 20))] as const]];
    for (let i = 0; i < 100; i++) {
      const snapshot = { path: bytesOfText(`/${i}`), id: `${i}`, report: 1, measuredMs: 0 };
      release(i, { record: encodeRecord({ snapshot, xattrs }) });
    }
    for (let i = 0; i < 10; i++) await journal.sync();
    expect(answers).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(journal.mostBytes).toBeLessThan(18 * 2 ** 20);
  });

  it("collects the garbage that releases leave", async () => {
    const record = { ...recordOf("a"), json: "x".repeat(MAX_PASSED_BYTES / 2) };
    expect(await collectsGarbage(() => release(1, { record }))).toBe(false);
    expect(await collectsGarbage(() => release(2, { record }))).toBe(true);
  });

  it("gives back the bytes of each release once", async () => {
    release(1);
    release(2);
    intake.withdrawn([2]);
    release(3, { vanished: true });
    await new Promise((resolve) => setImmediate(resolve));
    expect(takenBytes).toBe(SIZE);
    await start();
    // The third release has the same figures as the first, so no second record is written.
    for (let i = 0; i < 3; i++) await journal.sync();
    expect([answers, takenBytes]).toEqual([[], 3 * SIZE]);
    expect(handedOver).toEqual([0]);
  });

  it("does not credit a thread with bytes that an earlier thread sent", async () => {
    await start();
    release(1);
    release(2, { record: recordOf("b"), vanished: true });
    intake.disconnect();
    intake.connect(releaser());
    await journal.sync();
    expect(takenBytes).toBe(0);
  });

  it("counts a cgroup as lost if it is gone and its record is not written when the journal closes", async () => {
    journal.isClosed = true;
    await start();
    release(1, { vanished: true });
    release(2, { record: recordOf("b") });
    await journal.sync();
    expect(intake.counts.lostCgroups).toBe(1);
  });

  it("withdraws the record of a cgroup that runs again, even while it is being written", async () => {
    await start();
    release(1);
    await journal.sync();
    intake.withdrawn([1]);
    expect(journal.states).toEqual([RecordState.GONE]);
    expect([intake.isHeld(0), intake.hasBecomeEmpty("a")]).toEqual([false, false]);
    release(2);
    intake.withdrawn([2]);
    await journal.sync();
    expect(journal.states).toEqual([RecordState.GONE]);
    expect(answers).toEqual([1]);
  });

  it("marks a record as gone if it was withdrawn while the disk was writing it", async () => {
    await start();
    journal.hasBegun = true;
    release(1);
    intake.withdrawn([1]);
    await journal.sync();
    expect(journal.states).toEqual([RecordState.GONE]);
    expect([answers, extended, intake.isHeld(0)]).toEqual([[], [0], false]);
    expect(intake.hasBecomeEmpty("a")).toBe(false);
  });

  it.each([
    ["before the record is marked as replaced", 0, false],
    ["while the journal is full", 1, false],
    ["while the disk is writing the replacement", 1, true],
  ])("leaves a record waiting if its replacement is withdrawn %s", async (_, syncs, hasBegun) => {
    await start();
    release(1);
    await journal.sync();
    intake.kept([1]);
    release(2, { usec: 1000, replaces: 1 });
    for (let i = 0; i < syncs; i++) await journal.sync();
    expect(journal.states).toEqual([syncs === 0 ? RecordState.WAITING : RecordState.REPLACED]);
    const before = wakes;
    journal.hasBegun = hasBegun;
    intake.withdrawn([2]);
    for (let i = 0; i < 3; i++) await journal.sync();
    expect(journal.states).toEqual([RecordState.WAITING, ...(hasBegun ? [RecordState.GONE] : [])]);
    expect([handedOver, intake.isKept(0)]).toEqual([syncs === 0 ? [0] : [0, 0], true]);
    expect(wakes).toBeGreaterThanOrEqual(before + syncs);
    expect(intake.counts.supersededReports).toBe(0);
    // The next report replaces it after all.
    const next = journal.states.length;
    release(3, { usec: 2000 });
    for (let i = 0; i < 3; i++) await journal.sync();
    expect([journal.states[0], journal.states[next]]).toEqual([
      RecordState.GONE,
      RecordState.WAITING,
    ]);
    expect(answers).toEqual([1, 3]);
  });

  it("replaces a record that waits again, although the withdrawn replacement is still waiting for room", async () => {
    await start();
    release(1);
    await journal.sync();
    intake.kept([1]);
    release(2, { usec: 1000, replaces: 1 });
    await journal.sync();
    expect(journal.states).toEqual([RecordState.REPLACED]);
    intake.withdrawn([2]);
    release(3, { usec: 2000 });
    for (let i = 0; i < 8; i++) await journal.sync();
    expect(journal.states).toEqual([RecordState.GONE, RecordState.WAITING]);
    expect(answers).toEqual([1, 3]);
    expect(intake.counts.supersededReports).toBe(1);
    intake.deleted([3]);
    expect(handedOver).toEqual([0, 0, 1]);
  });

  it("remembers the parked report that precedes a record whose replacement is withdrawn", async () => {
    await start();
    release(1);
    await journal.sync();
    intake.kept([1]);
    journal.states[0] = RecordState.PARKED;
    release(2, { usec: 1000, replaces: 1 });
    await journal.sync();
    intake.kept([2]);
    expect(following).toEqual([[1, 0]]);
    release(3, { usec: 2000, replaces: 2 });
    await journal.sync();
    intake.withdrawn([3]);
    for (let i = 0; i < 2; i++) await journal.sync();
    expect(journal.states).toEqual([RecordState.PARKED, RecordState.WAITING]);
    expect([handedOver, following]).toEqual([
      [0, 1, 1],
      [
        [1, 0],
        [1, 0],
      ],
    ]);
  });

  it("takes no releases until it is known whether there is a handler", async () => {
    release(1);
    await intake.scanned([], []);
    await journal.sync();
    expect(journal.states).toEqual([]);
    intake.setAccounting(true);
    await journal.sync();
    expect(answers).toEqual([1]);
  });

  it("lets directories be deleted, and counts their cgroups, if there is no handler", async () => {
    release(1);
    release(2, { vanished: true });
    await intake.scanned([], []);
    intake.setAccounting(false);
    await journal.sync();
    expect(answers).toEqual([1]);
    expect(journal.states).toEqual([]);
    expect(intake.counts.unaccountedCgroups).toBe(2);
  });

  it.each([
    ["it waits, and the figures are the same", RecordState.WAITING, 100, []],
    ["it waits, and the figures are higher", RecordState.WAITING, 101, [3]],
    ["it was accounted, and the figures are the same", RecordState.ACCOUNTED, 100, []],
    ["it was accounted, and a process's last moments were added", RecordState.ACCOUNTED, 300, []],
    ["it was accounted, and the figures are higher", RecordState.ACCOUNTED, 301, [4]],
    ["it is parked, and the figures are higher", RecordState.PARKED, 5000, [4]],
  ] as const)("finds the record of a cgroup: %s", async (_, state, usec, reports) => {
    journal.states.push(state);
    found.set("a", [{ number: 0, report: 3, cpuTotalUsec: 100 }]);
    intake.setAccounting(true);
    release(1, { isFound: true, usec });
    await intake.scanned([], []);
    for (let i = 0; i < 4; i++) await journal.sync();
    expect(answers).toEqual([1]);
    expect(journal.reports).toEqual(reports);
    if (state === RecordState.WAITING && reports.length > 0)
      expect(journal.states).toEqual([RecordState.GONE, RecordState.WAITING]);
    intake.deleted([1]);
    await journal.sync();
    expect(handedOver).toHaveLength(state === RecordState.WAITING || reports.length > 0 ? 1 : 0);
    if (state === RecordState.ACCOUNTED) expect(journal.states[0]).toBe(RecordState.GONE);
  });

  it("withdraws an earlier daemon's records of running cgroups, unless the records were handed over", async () => {
    journal.states.push(RecordState.ACCOUNTED, RecordState.WAITING);
    found.set("a", [
      { number: 0, report: 1, cpuTotalUsec: 50 },
      { number: 1, report: 2, cpuTotalUsec: 100 },
    ]);
    intake.setAccounting(true);
    await intake.scanned(["a"], []);
    expect(journal.states).toEqual([RecordState.ACCOUNTED, RecordState.GONE]);
    release(1, { usec: 500 });
    await journal.sync();
    expect(journal.reports).toEqual([2]);
  });

  it("answers a thread about an earlier thread's release only when the record is written", async () => {
    await start();
    release(1);
    intake.disconnect();
    intake.connect(releaser());
    release(1, { isFound: true });
    await intake.scanned([], []);
    await new Promise((resolve) => setImmediate(resolve));
    expect(answers).toEqual([]);
    await journal.sync();
    expect(answers).toEqual([1]);
    expect(journal.reports).toEqual([1]);
  });

  it("hands over the records of an ended thread if the next thread does not find their directories", async () => {
    await start();
    release(1);
    await journal.sync();
    intake.disconnect();
    expect(intake.isHeld(0)).toBe(true);
    intake.connect(releaser());
    await intake.scanned([], []);
    expect(handedOver).toEqual([0]);
  });

  it("hands over records whose directory cannot be deleted, and keeps them until it is gone", async () => {
    await start();
    release(1);
    await journal.sync();
    intake.kept([1]);
    expect([handedOver, intake.isKept(0)]).toEqual([[0], true]);
    journal.states[0] = RecordState.ACCOUNTED;
    release(2, { usec: 1000 });
    await journal.sync();
    expect(journal.reports).toEqual([1, 2]);
    intake.deleted([2]);
    expect(journal.states).toEqual([RecordState.GONE, RecordState.WAITING]);
    expect(handedOver).toEqual([0, 1]);
  });
});
