import { Journal, JournalClosed, RecordState } from "@cm4all/journal";
import { SimulatedDisk } from "@cm4all/journal/simulated-disk";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { JournalStore } from "./journal-store.ts";
import type { OpenJournal } from "./open-journal.ts";

const LIMIT = 16 * 2 ** 20;

let log: string[];
let disk: SimulatedDisk;
let problem: string | undefined;
let store: JournalStore;

async function openSimulated(): Promise<OpenJournal> {
  if (problem !== undefined) throw new Error(problem);
  const journal = await Journal.open(disk, {
    limitBytes: LIMIT,
    segmentBytes: 2 ** 20,
    reserveBytes: 4096,
  });
  return { journal, forgetful: undefined, close: () => journal.close() };
}

function start(): void {
  store = new JournalStore({ directory: "/j", limitBytes: LIMIT }, openSimulated, (_, text) =>
    log.push(text),
  );
}

/** Lets the disk work, and lets time pass. */
async function pass(ms = 0): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  await vi.advanceTimersByTimeAsync(ms);
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
}

const record = (bytes = 10) => Buffer.from(JSON.stringify("x".repeat(bytes)));
const wanted = () => true;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  log = [];
  let number = 0;
  disk = new SimulatedDisk(() => {
    number = (number + 0.37) % 1;
    return number;
  });
  problem = undefined;
});
afterEach(async () => {
  const closed = store.close();
  await pass(1000);
  await closed;
  vi.useRealTimers();
});

describe("a journal that cannot be opened", () => {
  it("is tried again every ten seconds, and logged once for each reason", async () => {
    problem = "another process has it";
    start();
    const appended = store.append(record(), wanted);
    await pass(25_000);
    expect(store.gauges.journal).toBe("unavailable");
    expect(store.status).toEqual({ path: "/j", forgetful: undefined, problem });
    problem = "EROFS";
    await pass(25_000);
    problem = undefined;
    await pass(10_000);
    expect(await appended).toBeGreaterThan(0);
    expect(log).toEqual([
      "/j: cannot open the journal, cgroups' directories stay: another process has it",
      "/j: cannot open the journal, cgroups' directories stay: EROFS",
      "/j: the journal is open",
    ]);
    expect(store.gauges).toMatchObject({ journal: "ready", waitingCgroups: 1, journalRecords: 1 });
  });

  it("is given up when the daemon ends", async () => {
    problem = "EROFS";
    start();
    await pass();
    const appended = store.append(record(), wanted);
    const refused = expect(appended).rejects.toBeInstanceOf(JournalClosed);
    await store.close();
    await refused;
    await expect(store.mark(1, RecordState.GONE)).rejects.toBeInstanceOf(JournalClosed);
  });
});

describe("a journal that takes no records", () => {
  it("is tried again every second, and logged once, if the disk fails", async () => {
    start();
    await pass();
    disk.fail = (call) => (call === "sync" ? "ENOSPC" : undefined);
    const appended = [store.append(record(), wanted), store.append(record(), wanted)];
    await pass(5000);
    expect(store.gauges.journal).toBe("failing");
    disk.fail = () => undefined;
    await pass(1000);
    expect(new Set(await Promise.all(appended)).size).toBe(2);
    expect(log).toEqual([
      "/j: cannot write the journal, cgroups' directories stay: simulated ENOSPC",
      "/j: the journal takes records again",
    ]);
    expect(store.gauges).toMatchObject({ journal: "ready", waitingCgroups: 2 });
  });

  it("is logged once before it is full, once when it is, and once when it has room again", async () => {
    start();
    await pass();
    const numbers: (number | undefined)[] = [];
    const fill: Promise<unknown>[] = [];
    for (let i = 0; i < 60; i++) {
      fill.push(store.append(record(400_000), wanted).then((number) => numbers.push(number)));
      await pass();
    }
    expect(store.gauges.journal).toBe("full");
    expect(numbers.length).toBeLessThan(60);
    while (numbers.length < 60) {
      const gone = numbers.length;
      for (const number of numbers.slice(0, gone))
        if (number !== undefined) void store.mark(number, RecordState.GONE);
      await pass(1000);
    }
    await Promise.all(fill);
    void store.append(record(), wanted);
    await pass();
    expect(store.gauges.journal).toBe("ready");
    expect(log).toEqual([
      "/j: the journal is filling up: 14 of 16 MiB, see journal_mib",
      "/j: cgroups' directories stay: the journal has reached its size limit: 16777216 bytes",
      "/j: the journal has room again",
    ]);
  });

  it("rejects `begin` after a while, with its path in the error", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
    start();
    await pass();
    const number = (await store.append(record(), wanted)) ?? 0;
    disk.fail = (call) => (call === "write" ? "EIO" : undefined);
    let refusal: unknown;
    const begun = store.begin([number]).catch((error: unknown) => {
      refusal = error;
    });
    await pass(4900);
    expect(refusal).toBeUndefined();
    await pass(200);
    await begun;
    expect(String(refusal)).toBe("Error: the journal /j cannot be written: simulated EIO");
    disk.fail = () => undefined;
    await store.begin([number]);
    expect(store.gauges.begunCgroups).toBe(1);
  });

  it("lets handlers begin if the disk has room for marks, but not for records", async () => {
    vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
    start();
    await pass();
    const number = (await store.append(record(), wanted)) ?? 0;
    disk.capacityBytes = 0;
    const refused = store.append(record(), wanted);
    await pass(1000);
    expect(store.gauges.journal).toBe("failing");
    await store.begin([number]);
    await store.mark(number, RecordState.GONE);
    expect(store.gauges.journal).toBe("failing");
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    await pass(15_000);
    expect(await refused).toBeGreaterThan(0);
  });

  it("does not append a record that is no longer wanted", async () => {
    start();
    await pass();
    disk.fail = () => "EIO";
    let isWanted = true;
    const appended = store.append(record(), () => isWanted);
    await pass(1000);
    isWanted = false;
    disk.fail = () => undefined;
    await pass(1000);
    expect(await appended).toBeUndefined();
    expect(store.gauges.journalRecords).toBe(0);
  });
});

describe("a file whose space cannot be freed", () => {
  it("is logged once, and does not affect writes", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    start();
    const numbers: number[] = [];
    // Together, the records are larger than a segment.
    for (let i = 0; i < 30; i++) {
      const appended = store.append(record(40_000), wanted);
      await pass();
      numbers.push((await appended) ?? 0);
    }
    disk.fail = (call, name) =>
      call === "create" && name === "00000001.journal.tmp" ? "EIO" : undefined;
    for (const number of numbers.slice(1)) void store.mark(number, RecordState.GONE);
    for (let i = 0; i < 5; i++) {
      await pass(10_000);
      const appended = store.append(record(), wanted);
      await pass();
      await appended;
    }
    expect(store.gauges.journal).toBe("ready");
    expect(log).toEqual(["/j/00000001.journal: its space cannot be freed: simulated EIO"]);
  });
});
