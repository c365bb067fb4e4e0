/**
 * Runs accounting on a simulated machine on which, at any moment, the daemon may be killed, the
 * power may fail or the disk may fail. No usage must be lost or booked twice.
 */
import { type CgroupRecord, type EncodedRecord, encodeRecord } from "@cm4all/cgroup";
import { Journal, type JournalDirectory, type JournalFile, RecordState } from "@cm4all/journal";
import { SimulatedDisk } from "@cm4all/journal/simulated-disk";
import { bytesOfText } from "@cm4all/linux";
import { type Handlers, NO_HANDLERS, type Outcome, type Run } from "@cm4all/lua";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { parseConfig } from "../config.ts";
import type { Release } from "../reaper/messages.ts";
import { Accounting } from "./accounting.ts";
import type { AccountingSink, SinkState } from "./script/sink.ts";

const CONFIG = parseConfig(
  '[accounting]\njournal_mib = 16\nmax_running = 4\nbatch = 5\nscript = "/script.lua"\n',
  "spawn.toml",
  () => undefined,
).accounting;

type Random = () => number;

function seeded(seed: number): Random {
  let state = seed * 7919 + 17;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

interface Directory {
  readonly id: string;
  cpuTotalUsec: number;
  isPopulated: boolean;
  /** True if another program's child directory keeps it from being deleted. */
  isBusy: boolean;
}

interface Row {
  readonly id: string;
  readonly report: number;
  readonly cpuTotalUsec: number;
}

/** The state that survives the daemon. */
class Machine {
  readonly random: Random;
  readonly disk: SimulatedDisk;
  boot = 1;
  readonly directories = new Map<string, Directory>();
  readonly rows: Row[] = [];
  /** The usage of each cgroup when its directory was deleted. */
  readonly due = new Map<string, number>();
  /** Calls of handlers that should not have happened. */
  readonly wrongCalls: string[] = [];
  #nextInode = 1;

  constructor(seed: number) {
    this.random = seeded(seed);
    this.disk = new SimulatedDisk(this.random);
  }

  get bootId(): string {
    return `boot-${this.boot}`;
  }

  make(): Directory {
    const id = `${this.bootId}:${this.#nextInode++}`;
    const directory = { id, cpuTotalUsec: 0, isPopulated: true, isBusy: false };
    this.directories.set(id, directory);
    return directory;
  }

  powerFailure(): void {
    this.disk.powerFailure();
    this.directories.clear();
    this.boot++;
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.random() * items.length)];
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }
}

/** Simulates a script that inserts a row for each record, as scripts of the original daemon do. */
class SimulatedSink implements AccountingSink {
  readonly state: SinkState = "ready";
  readonly handlers: Handlers;
  readonly #machine: Machine;
  #listener = () => {};
  #runs = 0;
  /** The cgroups whose handler is running. */
  readonly #busy = new Set<string>();
  isAlive = true;
  /** The share of calls that fail. */
  failures = 0.2;

  constructor(machine: Machine, handlers: Handlers) {
    this.#machine = machine;
    this.handlers = handlers;
  }

  get room(): number {
    return this.isAlive ? 4 - this.#runs : 0;
  }

  onStateChange(listener: () => void): void {
    const before = this.#listener;
    this.#listener = () => {
      before();
      listener();
    };
  }

  announce(): void {
    this.#listener();
  }

  async run(records: readonly EncodedRecord[], { kind, begin }: Run): Promise<Outcome> {
    this.#runs++;
    for (const { id } of records) this.#check(id, kind);
    try {
      return await (kind === "running" ? this.#runInterim() : this.#run(records, begin));
    } finally {
      this.#runs--;
      for (const { id } of records) this.#busy.delete(id);
    }
  }

  #check(id: string, kind: Run["kind"]): void {
    const { wrongCalls, directories } = this.#machine;
    if (this.#busy.has(id)) wrongCalls.push(`${kind} ${id} while another one is running`);
    if (kind === "running" && directories.get(id)?.isPopulated !== true)
      wrongCalls.push(`${kind} ${id}, which has become empty`);
    this.#busy.add(id);
  }

  async #runInterim(): Promise<Outcome> {
    await this.#wait();
    if (this.#machine.chance(this.failures))
      return { type: "failed", message: "failed", effect: "none", cause: "script" };
    return { type: "done" };
  }

  async #run(records: readonly EncodedRecord[], begin: () => Promise<void>): Promise<Outcome> {
    const fails = () => this.#machine.chance(this.failures / 3);
    const failed = { type: "failed", message: "failed" } as const;
    await this.#wait();
    if (fails()) return { ...failed, effect: "none", cause: "connection" };
    if (fails()) return { ...failed, effect: "none", cause: "script" };
    if (!this.handlers.bearsRepetition) await begin();
    await this.#wait();
    for (const record of records) this.#insert(record);
    await this.#wait();
    if (fails()) return { ...failed, effect: "taken", cause: "script" };
    return { type: "done" };
  }

  #insert({ id, report, cpuTotalUsec = 0 }: EncodedRecord): void {
    const { rows } = this.#machine;
    const known = rows.findIndex((row) => row.id === id && row.report === report);
    if (this.handlers.bearsRepetition && known >= 0) rows.splice(known, 1);
    rows.push({ id, report, cpuTotalUsec });
  }

  /** Waits; never resolves if the daemon was killed meanwhile. */
  async #wait(): Promise<void> {
    for (let i = this.#machine.random() * 5; i > 0; i--) await turn();
    if (!this.isAlive) await new Promise(() => {});
  }
}

/** The reaper's thread, with the behaviour that ReaperDialogue (reaper/messages.ts) describes. */
class SimulatedReaper {
  readonly #machine: Machine;
  readonly #accounting: Accounting;
  #nextRelease = 1;
  readonly #releases = new Map<number, Directory>();
  readonly #kept = new Set<number>();
  /** The latest release of each directory, unless it was withdrawn. */
  readonly #current = new Map<Directory, number>();
  readonly #reports = new Map<string, number>();
  isAlive = true;

  constructor(machine: Machine, accounting: Accounting) {
    this.#machine = machine;
    this.#accounting = accounting;
    accounting.intake.connect({ journalled: (releases) => this.#journalled(releases) });
    const all = [...machine.directories.values()];
    const empty = all.filter(({ isPopulated }) => !isPopulated);
    // The other empty cgroups follow later, as if there had been no room for them at first.
    const first = empty.filter(() => machine.chance(0.5));
    for (const directory of first) this.release(directory, { isFound: true });
    const idsOf = (directories: readonly Directory[]) => directories.map(({ id }) => id);
    const populated = all.filter(({ isPopulated }) => isPopulated);
    const later = empty.filter((directory) => !first.includes(directory));
    void accounting.intake.scanned(idsOf(populated), idsOf(later)).then(() => {
      for (const directory of later)
        if (this.isAlive && !directory.isPopulated && machine.directories.has(directory.id))
          this.release(directory, { isFound: true });
    });
  }

  release(directory: Directory, fields: Partial<Release> = {}): void {
    const { id, cpuTotalUsec } = directory;
    const report = this.#reports.get(id) ?? 1;
    const snapshot = { path: bytesOfText(`/${id}`), id, report, measuredMs: 0, cpuTotalUsec };
    const number = this.#nextRelease++;
    const record = encodeRecord({ snapshot, xattrs: [] });
    const release = { number, record, vanished: false, isFound: false, replaces: undefined };
    this.#releases.set(number, directory);
    this.#current.set(directory, number);
    this.#accounting.intake.released([{ ...release, ...fields }]);
  }

  /** Sends interim reports of running cgroups. */
  interim(): void {
    const running = [...this.#machine.directories.values()].filter(
      ({ isPopulated }) => isPopulated,
    );
    const records = running.map(({ id, cpuTotalUsec }) => {
      const snapshot = { path: bytesOfText(`/${id}`), id, report: 0, measuredMs: 0, cpuTotalUsec };
      return encodeRecord({ snapshot, xattrs: [] });
    });
    this.#accounting.interim(records);
  }

  #journalled(releases: readonly number[]): void {
    if (this.isAlive) for (const release of releases) this.#lookAgain(release);
  }

  /** Looks at a directory again before it is deleted, as the reaper does. */
  #lookAgain(release: number): void {
    const directory = this.#releases.get(release);
    const { intake } = this.#accounting;
    const machine = this.#machine;
    if (directory === undefined || this.#current.get(directory) !== release) return;
    if (machine.chance(0.2)) {
      directory.cpuTotalUsec += 1000;
      this.release(directory, { replaces: release });
    } else if (directory.isBusy) {
      intake.kept([release]);
      this.#kept.add(release);
      this.#reports.set(directory.id, (this.#reports.get(directory.id) ?? 1) + 1);
    } else this.#delete(directory, release);
  }

  #delete(directory: Directory, release: number): void {
    const { directories, due } = this.#machine;
    directories.delete(directory.id);
    due.set(directory.id, directory.cpuTotalUsec);
    this.#accounting.intake.deleted([release]);
  }

  vanish(directory: Directory): void {
    this.#machine.directories.delete(directory.id);
    this.release(directory, { vanished: true });
  }

  /** Lets a process enter a cgroup. */
  populate(directory: Directory): void {
    directory.isPopulated = true;
    const release = this.#current.get(directory);
    this.#current.delete(directory);
    if (release !== undefined) this.#accounting.intake.withdrawn([release]);
  }

  /**
   * Removes what keeps a directory from being deleted. If its deletion has failed before, the
   * directory is then deleted.
   */
  free(directory: Directory): void {
    directory.isBusy = false;
    const release = this.#current.get(directory);
    if (release !== undefined && this.#kept.has(release)) this.#delete(directory, release);
  }
}

/** Lets other tasks continue, including those that wait for a timer. */
async function turn(ms = 0): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  vi.advanceTimersByTime(ms);
}

/** The disk as one daemon sees it: after the daemon is killed, nothing more is written. */
class Mount implements JournalDirectory {
  readonly #disk: SimulatedDisk;
  isDead = false;

  constructor(disk: SimulatedDisk) {
    this.#disk = disk;
  }

  #use<T>(target: T): T {
    if (this.isDead) throw new Error("the daemon is dead");
    return target;
  }

  #file(file: JournalFile): JournalFile {
    return {
      write: async (bytes, position) => this.#use(file).write(bytes, position),
      read: async (buffer, position) => this.#use(file).read(buffer, position),
      sync: async () => this.#use(file).sync(),
      truncate: async (length) => this.#use(file).truncate(length),
      close: () => file.close(),
    };
  }

  list = async () => this.#use(this.#disk).list();
  create = async (name: string) => this.#file(await this.#use(this.#disk).create(name));
  open = async (name: string) => this.#file(await this.#use(this.#disk).open(name));
  reopen = async (name: string) => this.#file(await this.#use(this.#disk).reopen(name));
  freeBytes = async () => this.#use(this.#disk).freeBytes();
  rename = async (from: string, to: string) => this.#use(this.#disk).rename(from, to);
  remove = async (name: string) => this.#use(this.#disk).remove(name);
  sync = async () => this.#use(this.#disk).sync();
}

class Daemon {
  readonly #mount: Mount;
  readonly accounting: Accounting;
  readonly sink: SimulatedSink;
  readonly reaper: SimulatedReaper;

  constructor(machine: Machine, handlers: Handlers) {
    const { disk, bootId } = machine;
    this.#mount = new Mount(disk);
    const open = async () => {
      const journal = await Journal.open(this.#mount, {
        limitBytes: 16 * 2 ** 20,
        segmentBytes: 4096,
        reserveBytes: 4096,
      });
      return { journal, forgetful: undefined, close: () => journal.close() };
    };
    this.sink = new SimulatedSink(machine, handlers);
    this.accounting = new Accounting({ sink: this.sink, bootId, open, log: () => {} }, CONFIG);
    this.sink.announce();
    this.reaper = new SimulatedReaper(machine, this.accounting);
  }

  /** Ends the daemon as SIGKILL does. */
  async end(): Promise<void> {
    this.#mount.isDead = true;
    this.sink.isAlive = false;
    this.reaper.isAlive = false;
    this.accounting.intake.disconnect();
    const closed = this.accounting.close();
    let isClosed = false;
    void closed.finally(() => {
      isClosed = true;
    });
    while (!isClosed) await turn(1000);
  }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Runs the simulation, with one fault after another. */
async function live(machine: Machine, handlers: Handlers, isSmall: boolean): Promise<void> {
  const { disk } = machine;
  const mend = () => {
    disk.fail = () => undefined;
    disk.capacityBytes = Number.POSITIVE_INFINITY;
  };
  let daemon = new Daemon(machine, handlers);
  for (let step = 0; step < 250; step++) {
    if (handlers.running !== "none") daemon.reaper.interim();
    const directories = [...machine.directories.values()];
    const directory = machine.pick(directories);
    const running = machine.pick(directories.filter(({ isPopulated }) => isPopulated));
    const dice = machine.random();
    if (dice < 0.4) {
      const made = machine.make();
      made.cpuTotalUsec = 1000 + Math.floor(machine.random() * 1000);
      made.isBusy = machine.chance(0.1);
    } else if (dice < 0.7 && running !== undefined) {
      running.cpuTotalUsec += 1000;
      running.isPopulated = false;
      daemon.reaper.release(running);
    } else if (dice < 0.75 && directory !== undefined && !directory.isPopulated) {
      daemon.reaper.populate(directory);
    } else if (dice < 0.78 && directory?.isBusy === true) {
      daemon.reaper.free(directory);
    } else if (dice < 0.8 && running !== undefined) {
      daemon.reaper.vanish(running);
    } else if (dice < 0.84) {
      const code = machine.pick(["ENOSPC", "EIO"]);
      const call = machine.pick(["write", "sync", "create", "rename", "syncDirectory"]);
      if (isSmall) disk.capacityBytes = disk.usedBytes + machine.random() * 2000;
      else disk.fail = (each) => (each === call && machine.chance(0.5) ? code : undefined);
    } else if (dice < 0.88) mend();
    else if (dice < 0.92) {
      if (machine.chance(0.3)) machine.powerFailure();
      else disk.kill();
      await daemon.end();
      disk.reboot();
      daemon = new Daemon(machine, handlers);
    }
    for (let i = machine.random() * 20; i > 0; i--) await turn(machine.chance(0.1) ? 1000 : 0);
  }
  mend();
  daemon.sink.failures = 0;
  for (const directory of machine.directories.values()) {
    if (directory.isPopulated)
      daemon.reaper.release(Object.assign(directory, { isPopulated: false }));
    directory.isBusy = false;
  }
  // New threads of the reaper find the directories whose releases an earlier thread lost.
  for (let i = 0; i < 3; i++) {
    for (let wait = 0; wait < 300; wait++) await turn(1000);
    daemon.reaper.isAlive = false;
    daemon.accounting.intake.disconnect();
    Object.assign(daemon, { reaper: new SimulatedReaper(machine, daemon.accounting) });
  }
  for (let wait = 0; wait < 500; wait++) await turn(1000);
  await daemon.end();
}

/** Returns the records in the journal at the end, by state. */
async function left({ disk }: Machine): Promise<{ state: RecordState; record: CgroupRecord }[]> {
  const journal = await Journal.open(disk, {
    limitBytes: 16 * 2 ** 20,
    segmentBytes: 4096,
    reserveBytes: 4096,
  });
  const records: { state: RecordState; record: CgroupRecord }[] = [];
  for (const { number, state } of [...journal.records()])
    records.push({ state, record: JSON.parse((await journal.read(number)).toString()) });
  await journal.close();
  return records;
}

/**
 * The seeds: `npm run torture` tries all 250. Of those that always run, the last five found two
 * bugs: a mark was mistaken for its record, and a write that a power failure had torn was
 * mistaken for damage.
 */
const SEEDS =
  process.env["TORTURE"] === "all"
    ? [...Array(250).keys()]
    : [...Array(12).keys(), 76, 78, 104, 155, 224];

describe.each([
  ["a script of the original daemon", { ...NO_HANDLERS, released: "one" }],
  ["a script that takes lists", { ...NO_HANDLERS, released: "list" }],
  [
    "a script that tolerates repetition",
    { ...NO_HANDLERS, released: "one", bearsRepetition: true },
  ],
  [
    "a script with a handler for running cgroups",
    { ...NO_HANDLERS, released: "one", running: "one", bearsRepetition: true },
  ],
] as const)("%s", (_, handlers) => {
  describe.each([
    ["that reports errors", false],
    ["that is full", true],
  ])("on a disk %s", (_, isSmall) => {
    it.each(SEEDS)(
      "loses nothing and books nothing twice, %d",
      async (seed) => {
        const machine = new Machine(seed);
        await live(machine, handlers, isSmall);
        expectRight(machine, await left(machine), handlers);
      },
      30_000,
    );
  });
});

function expectRight(
  machine: Machine,
  records: Awaited<ReturnType<typeof left>>,
  handlers: Handlers,
): void {
  const parked = records.filter(({ state }) => state === RecordState.PARKED);
  // Accounted records are dropped at the next boot.
  const accounted = records.filter(({ state }) => state === RecordState.ACCOUNTED);
  expect(parked.length + accounted.length).toBe(records.length);
  expect(machine.wrongCalls).toEqual([]);
  if (handlers.bearsRepetition) expect(parked).toEqual([]);
  expect([...machine.directories.keys()]).toEqual([]);
  const { rows } = machine;
  const keys = rows.map(({ id, report }) => `${id}#${report}`);
  expect(keys.filter((key, i) => keys.indexOf(key) !== i)).toEqual([]);
  const known = [...rows, ...parked.map(({ record }) => record.snapshot)];
  const lost = [...machine.due].filter(
    ([id, usec]) => !known.some((row) => row.id === id && row.cpuTotalUsec === usec),
  );
  expect(lost).toEqual([]);
  expect(machine.due.size).toBeGreaterThan(20);
}

it("a restarted daemon refuses to retry a parked report after a later one was handed over", async () => {
  const machine = new Machine(1);
  const journal = await Journal.open(machine.disk);
  const append = async (report: number) => {
    const snapshot = { path: bytesOfText("/a"), id: "boot-0:1", report, measuredMs: 0 };
    return journal.append(Buffer.from(encodeRecord({ snapshot, xattrs: [] }).json));
  };
  const first = await append(1);
  await journal.mark(first, RecordState.PARKED);
  const second = await append(2);
  await journal.close();
  const daemon = new Daemon(machine, { ...NO_HANDLERS, released: "one" });
  daemon.sink.failures = 0;
  for (let i = 0; i < 100; i++) await turn(100);
  expect(machine.rows).toMatchObject([{ report: 2 }]);
  const { records } = daemon.accounting;
  expect(await records.find(`${second}`)).toEqual([]);
  await expect(records.retry([first])).rejects.toThrow("a later report of its cgroup");
  await daemon.end();
});
