/**
 * Takes over what the reaper releases: into the journal first, then its directory may go,
 * then its record may be handed over.
 *
 * Invariants:
 * - The reaper is answered when the record is on the disk, and the one in whose place it
 *   stands is marked as gone there.
 * - A record whose directory is there is held back, unless the directory cannot be deleted.
 * - Until it is known which directories there are (`scanned`), and whether there is a
 *   handler at all, releases wait, and their directories stay.
 */
import { type EncodedRecord, recordSize, withReport } from "@cm4all/cgroup";
import { JournalClosed, RecordState } from "@cm4all/journal";
import { errorText } from "@cm4all/linux";
import { LOG_ERR, type Logger } from "../../log.ts";
import type { Release } from "../../reaper/messages.ts";
import { isLarge } from "../handlers/entry.ts";
import type { AccountingQueue } from "../handlers/queue.ts";
import type { FoundRecord } from "../journal/journal-lookup.ts";
import type { JournalStore } from "../journal/journal-store.ts";
import type { RecordWindow } from "../journal/window.ts";
import { ByteBudget } from "../terms/byte-budget.ts";
import { newTracked, type Tracked, TrackedRecords } from "./tracked.ts";

/** The reaper's thread, as far as it is told something. */
export interface Releaser {
  /** See ReaperDialogue. */
  journalled(releases: readonly number[], takenBytes: number): void;
}

export interface IntakeParts {
  readonly store: Pick<JournalStore, "append" | "state" | "mark">;
  readonly window: Pick<RecordWindow, "extend" | "add" | "openBoot">;
  readonly queue: Pick<AccountingQueue, "tryWithdraw" | "follows" | "ranEmpty" | "wake">;
  /** Returns the records of cgroups, when the journal is there. @throws (rejects) system errors, JournalClosed */
  readonly find: (ids: ReadonlySet<string>) => Promise<Map<string, FoundRecord[]>>;
  readonly log: Logger;
}

/** A release that waits until everything is known. */
interface Deferred {
  readonly release: Release;
  /** Whoever has told of it. */
  readonly releaser: Releaser | undefined;
  isDeleted: boolean;
}

/** How many records are kept in memory while their directories are deleted. */
const MAX_RECORDS = 1000;

/** JSON has two bytes for one of an attribute at most, and a disk may be slow. */
const MAX_PENDING_BYTES = 16 * 1024 * 1024;

/**
 * The kernel charges a process for its last moments after it has left: so much more, of a
 * record that was handed over, is no other run.
 */
const ECHO_USEC = 200;

const FIND_PAUSE_MS = 1000;

export class Intake {
  readonly #parts: IntakeParts;
  #releaser: Releaser | undefined;
  #isAccounting: boolean | undefined;
  #isScanned = false;
  /** By the number of the release; negative for what has vanished, which nobody speaks of again. */
  readonly #deferred = new Map<number, Deferred>();
  #nextVanished = -1;
  readonly #tracked = new TrackedRecords();
  #byRelease = new Map<number, Tracked>();
  /** Of what waits for the disk, as it will stand there. */
  readonly #budget = new ByteBudget(MAX_PENDING_BYTES);
  #answers: number[] = [];
  /** Of releases that are let go and were not answered for yet. */
  #takenBytes = 0;
  #flushing: NodeJS.Immediate | undefined;
  readonly counts = { unaccountedCgroups: 0, supersededReports: 0, lostCgroups: 0 };

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** Whether a record is not to be handed over, because its directory has to be deleted first. */
  isHeld(number: number): boolean {
    return this.#tracked.ofNumber(number)?.isHandedOver === false;
  }

  /** Whether a record was handed over although its directory is there. */
  isKept(number: number): boolean {
    return this.#tracked.ofNumber(number)?.isHandedOver === true;
  }

  /** Whether a cgroup has run empty, and waits to be deleted. */
  hasRunEmpty(id: string): boolean {
    return this.#tracked.ofId(id)?.isHandedOver === false;
  }

  /** A thread begins: it tells what is there, and then that it has. */
  connect(releaser: Releaser): void {
    this.#releaser = releaser;
  }

  /** The thread has ended; the next one tells again what is there. */
  disconnect(): void {
    this.#releaser = undefined;
    this.#isScanned = false;
    this.#byRelease = new Map();
    this.#answers = [];
    this.#takenBytes = 0;
    for (const tracked of this.#tracked.latest()) tracked.release = undefined;
    for (const [key, { release }] of this.#deferred)
      if (!release.vanished) this.#deferred.delete(key);
  }

  /** @param wanted whether there is a handler, or will be; undefined as long as that is not known */
  setAccounting(wanted: boolean | undefined): void {
    this.#isAccounting = wanted;
    this.#takeDeferred();
  }

  /** See ReaperDialogue, also for the other events. */
  released(releases: readonly Release[]): void {
    for (const release of releases) {
      this.#parts.queue.ranEmpty(release.record.id);
      const key = release.vanished ? this.#nextVanished-- : release.number;
      const releaser = this.#releaser;
      this.#deferred.set(key, { release, releaser, isDeleted: release.vanished });
    }
    this.#takeDeferred();
  }

  #takeDeferred(): void {
    if (!this.#isScanned || this.#isAccounting === undefined) return;
    for (const [key, deferred] of this.#deferred) {
      this.#deferred.delete(key);
      if (this.#isRecorded(deferred)) this.#letGo(deferred);
      else if (this.#isAccounting) this.#take(deferred);
      else this.#pass(deferred);
    }
  }

  /** The reaper may tell so much more. */
  #letGo({ release, releaser }: Deferred): void {
    if (releaser !== this.#releaser) return;
    this.#takenBytes += recordSize(release.record);
    this.#flushLater();
  }

  /** There is no handler: the directory may go. */
  #pass(deferred: Deferred): void {
    const { vanished, number } = deferred.release;
    this.counts.unaccountedCgroups++;
    if (!vanished) this.#answer(number);
    this.#letGo(deferred);
  }

  /** Whether there is a record with these figures, which then goes on. */
  #isRecorded({ release, isDeleted }: Deferred): boolean {
    const { id, cpuTotalUsec } = release.record;
    const before = this.#tracked.ofId(id);
    if (before === undefined || hasGrown(before, cpuTotalUsec)) return false;
    if (!release.isFound && !release.vanished) return false;
    before.isDeleted = isDeleted;
    this.#nameRelease(before, release.vanished ? undefined : release.number);
    // Else it is answered when it is written.
    if (before.isWritten) this.#goOn(before);
    return true;
  }

  #take(deferred: Deferred): void {
    const { record, vanished, number, replaces } = deferred.release;
    // Nobody speaks of it again.
    if (replaces !== undefined) this.#byRelease.delete(replaces);
    const { id, report, cpuTotalUsec } = record;
    const before = this.#tracked.ofId(id);
    const { isDeleted } = deferred;
    const tracked = newTracked({ id, report, cpuTotalUsec, record, isDeleted });
    this.#nameRelease(tracked, vanished ? undefined : number);
    this.#tracked.add(tracked);
    tracked.written = this.#write(tracked, before)
      // The journal is closed: the next start finds the directory, if it is there.
      .catch(() => this.#cannotWrite(tracked))
      .then(() => this.#letGo(deferred));
  }

  #cannotWrite({ isDeleted, isWithdrawn }: Tracked): void {
    if (isDeleted && !isWithdrawn) this.counts.lostCgroups++;
  }

  #nameRelease(tracked: Tracked, release: number | undefined): void {
    tracked.release = release;
    if (release !== undefined) this.#byRelease.set(release, tracked);
  }

  /** @throws JournalClosed (rejects) */
  async #write(tracked: Tracked, before: Tracked | undefined): Promise<void> {
    const { store } = this.#parts;
    await before?.written;
    const replaced = before === undefined ? undefined : await this.#replace(before);
    if (before !== undefined) {
      const isNext = replaced === undefined && !before.isWithdrawn;
      tracked.earlier = isNext ? before : before.earlier;
      tracked.report = Math.max(tracked.report, before.report + (isNext ? 1 : 0));
    }
    const { record, report } = tracked;
    if (record === undefined) return;
    const numbered = withReport(record, report);
    tracked.record = undefined;
    const { number, bytes } = await this.#append(tracked, numbered);
    tracked.number = number;
    if (number !== undefined && this.#tracked.size <= MAX_RECORDS && !isLarge(bytes))
      tracked.fresh = { number, record: numbered, bytes };
    // At once: what is on the disk is either held back, or is to be handed over.
    if (tracked.number !== undefined) this.#isOnDisk(tracked, tracked.number);
    if (replaced !== undefined) {
      this.counts.supersededReports++;
      await store.mark(replaced, RecordState.GONE);
    }
    if (tracked.number === undefined || tracked.isWithdrawn) return;
    tracked.isWritten = true;
    this.#goOn(tracked);
  }

  /** Returns the record's number, if it was not withdrawn before. @throws JournalClosed (rejects) */
  async #append(
    tracked: Tracked,
    record: EncodedRecord,
  ): Promise<{ readonly number: number | undefined; readonly bytes: number }> {
    if (!this.#budget.hasRoom) await this.#budget.room();
    const payload = Buffer.from(record.json);
    const bytes = payload.length;
    this.#budget.take(bytes);
    try {
      const number = await this.#parts.store.append(payload, () => !tracked.isWithdrawn);
      return { number, bytes };
    } finally {
      this.#budget.giveBack(bytes);
    }
  }

  #isOnDisk(tracked: Tracked, number: number): void {
    const { window, queue } = this.#parts;
    if (tracked.isWithdrawn) this.#mark(number, RecordState.GONE);
    else this.#tracked.addNumber(tracked);
    window.extend(number);
    const earlier = tracked.earlier?.number;
    if (earlier !== undefined) queue.follows(number, earlier);
  }

  /**
   * Has another record stand in the place of one that was not handed over, or whose
   * handler was not called yet. Returns its number, if it is so.
   */
  async #replace(before: Tracked): Promise<number | undefined> {
    const { store, queue } = this.#parts;
    const { number } = before;
    if (number === undefined || !queue.tryWithdraw(number)) return undefined;
    if (store.state(number) !== RecordState.WAITING) return undefined;
    this.#tracked.remove(before);
    await store.mark(number, RecordState.REPLACED);
    return number;
  }

  /** It is written. */
  #goOn(tracked: Tracked): void {
    if (tracked.isDeleted) this.#directoryIsGone(tracked);
    else if (tracked.release !== undefined) this.#answer(tracked.release);
  }

  /** One message for all that is written in a turn, and one look for what is to be handed over. */
  #answer(release: number): void {
    this.#answers.push(release);
    this.#flushLater();
  }

  #flushLater(): void {
    this.#flushing ??= setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = undefined;
    const answers = this.#answers;
    const takenBytes = this.#takenBytes;
    this.#answers = [];
    this.#takenBytes = 0;
    if (answers.length > 0 || takenBytes > 0) this.#releaser?.journalled(answers, takenBytes);
    this.#parts.queue.wake();
  }

  deleted(releases: readonly number[]): void {
    for (const release of releases) {
      const deferred = this.#deferred.get(release);
      if (deferred !== undefined) deferred.isDeleted = true;
      const tracked = this.#byRelease.get(release);
      if (tracked === undefined) continue;
      this.#byRelease.delete(release);
      this.#isDeleted(tracked);
    }
  }

  kept(releases: readonly number[]): void {
    for (const release of releases) {
      const tracked = this.#byRelease.get(release);
      if (tracked !== undefined) this.#handOver(tracked);
    }
  }

  withdrawn(releases: readonly number[]): void {
    for (const release of releases) {
      const deferred = this.#deferred.get(release);
      if (deferred !== undefined) this.#letGo(deferred);
      this.#deferred.delete(release);
      const tracked = this.#byRelease.get(release);
      this.#byRelease.delete(release);
      if (tracked !== undefined) this.#withdraw(tracked);
    }
  }

  /** Its cgroup runs again. If it was handed over, the next one is another report. */
  #withdraw(tracked: Tracked): void {
    if (tracked.isHandedOver) return;
    tracked.isWithdrawn = true;
    this.#forget(tracked);
  }

  #forget(tracked: Tracked): void {
    this.#tracked.remove(tracked);
    if (tracked.number !== undefined) this.#mark(tracked.number, RecordState.GONE);
  }

  #directoryIsGone(latest: Tracked): void {
    for (let each: Tracked | undefined = latest; each !== undefined; each = each.earlier) {
      this.#tracked.remove(each);
      if (!each.isHandedOver) this.#handOver(each);
      else if (this.#isRememberedInVain(each)) this.#mark(each.number, RecordState.GONE);
    }
  }

  /** It has a handler's word already, and nothing that follows needs to know of it. */
  #isRememberedInVain(tracked: Tracked): boolean {
    const stateOf = (each: Tracked | undefined) =>
      each?.number === undefined ? undefined : this.#parts.store.state(each.number);
    return (
      stateOf(tracked) === RecordState.ACCOUNTED && stateOf(tracked.earlier) !== RecordState.PARKED
    );
  }

  #handOver(tracked: Tracked): void {
    if (tracked.isHandedOver || tracked.number === undefined) return;
    tracked.isHandedOver = true;
    this.#parts.window.add(tracked.number, tracked.fresh);
    tracked.fresh = undefined;
    this.#flushLater();
  }

  #mark(number: number | undefined, state: RecordState): void {
    if (number === undefined) return;
    this.#parts.store.mark(number, state).catch(() => {
      // The journal is closed: the next start finds the record as it was.
    });
  }

  /** It is known what is there: looks for its records, which may be of an earlier thread. */
  async scanned(populated: readonly string[], empty: readonly string[]): Promise<void> {
    const releaser = this.#releaser;
    const running = new Set(populated);
    const told = [...this.#deferred.values()].map(({ release }) => release.record.id);
    const ids = new Set([...populated, ...empty, ...told]);
    const found = await this.#find(ids);
    // The next thread tells it all again.
    if (found === undefined || this.#releaser !== releaser) return;
    for (const [id, records] of found)
      if (this.#tracked.ofId(id) === undefined) this.#track(id, records);
    for (const tracked of this.#tracked.latest()) {
      if (running.has(tracked.id)) this.#withdrawAll(tracked);
      else if (!ids.has(tracked.id)) this.#isDeleted(tracked);
    }
    this.#isScanned = true;
    this.#parts.window.openBoot();
    this.#takeDeferred();
    this.#flushLater();
  }

  async #find(ids: ReadonlySet<string>): Promise<Map<string, FoundRecord[]> | undefined> {
    for (let lastReason = ""; ; ) {
      try {
        return await this.#parts.find(ids);
      } catch (error) {
        if (error instanceof JournalClosed) return undefined;
        const reason = `cannot read the journal: ${errorText(error)}`;
        if (reason !== lastReason) this.#parts.log(LOG_ERR, reason);
        lastReason = reason;
      }
      await new Promise((resolve) => setTimeout(resolve, FIND_PAUSE_MS));
    }
  }

  /** @param records oldest first */
  #track(id: string, records: readonly FoundRecord[]): void {
    let earlier: Tracked | undefined;
    for (const { number, report, cpuTotalUsec } of records) {
      const isHandedOver = this.#parts.store.state(number) !== RecordState.WAITING;
      earlier = newTracked({ id, report, cpuTotalUsec, number, isHandedOver, earlier });
      earlier.isWritten = true;
      this.#tracked.add(earlier);
    }
  }

  #withdrawAll(latest: Tracked): void {
    for (let each: Tracked | undefined = latest; each !== undefined; each = each.earlier)
      this.#withdraw(each);
  }

  #isDeleted(tracked: Tracked): void {
    tracked.isDeleted = true;
    if (tracked.isWritten) this.#directoryIsGone(tracked);
  }
}

function hasGrown(before: Tracked, cpuTotalUsec: number | undefined): boolean {
  const grownUsec = (cpuTotalUsec ?? 0) - (before.cpuTotalUsec ?? 0);
  return grownUsec > (before.isHandedOver ? ECHO_USEC : 0);
}
