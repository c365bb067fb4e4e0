/**
 * Takes over the cgroups that the reaper releases: first the record is written to the journal,
 * then the directory may be deleted, then the record may be handed over. This file decides on
 * each release; record-writer.ts writes its record, handover.ts hands the record over, and
 * replies.ts answers the reaper.
 *
 * Invariants:
 * - If there is a handler, the reaper is answered when the record is on the disk and any record
 *   that it replaces is marked as gone there.
 * - A record is held back while its directory exists, unless the directory cannot be deleted.
 * - Releases wait, and their directories stay, until it is known which directories exist
 *   (`scanned`) and whether there is a handler at all.
 */
import { recordSize } from "@cm4all/cgroup";
import { JournalClosed, RecordState } from "@cm4all/journal";
import { errorText, GarbageBound } from "@cm4all/linux";
import { LOG_ERR, type Logger } from "../../log/log.ts";
import type { Release } from "../../reaper/messages.ts";
import type { AccountingQueue } from "../handlers/queue.ts";
import type { FoundRecord } from "../journal/journal-lookup.ts";
import type { JournalStore } from "../journal/journal-store.ts";
import type { RecordWindow } from "../journal/window.ts";
import { Handover } from "./handover.ts";
import { RecordWriter } from "./record-writer.ts";
import { type Releaser, Replies } from "./replies.ts";
import { newTracked, type Tracked, TrackedRecords } from "./tracked.ts";

export interface IntakeParts {
  readonly store: Pick<JournalStore, "append" | "state" | "mark">;
  readonly window: Pick<RecordWindow, "extend" | "add" | "openBoot">;
  readonly queue: Pick<AccountingQueue, "tryWithdraw" | "follows" | "becameEmpty" | "wake">;
  /**
   * Waits until the journal is open, and returns the records of these cgroups.
   * @throws (rejects) system errors, JournalClosed
   */
  readonly find: (ids: ReadonlySet<string>) => Promise<Map<string, FoundRecord[]>>;
  readonly log: Logger;
}

/** A release that waits until the directories and the script are known. */
interface Deferred {
  readonly release: Release;
  /** The thread that sent it. */
  readonly releaser: Releaser | undefined;
  isDeleted: boolean;
}

/**
 * A cgroup whose record was handed over is accounted again only if it has since used more CPU time
 * than this: the kernel charges a process for its last moments after it has left the cgroup.
 */
const ECHO_USEC = 200;

/** The pause after a failed attempt to read the journal. */
const FIND_PAUSE_MS = 1000;

export class Intake {
  readonly #parts: IntakeParts;
  #isAccounting: boolean | undefined;
  #isScanned = false;
  /**
   * The releases that wait, by their number, or by a negative number for vanished cgroups, which
   * the reaper does not mention again.
   */
  readonly #deferred = new Map<number, Deferred>();
  #nextVanished = -1;
  readonly #tracked = new TrackedRecords();
  #byRelease = new Map<number, Tracked>();
  readonly #replies: Replies;
  readonly #handover: Handover;
  readonly #writer: RecordWriter;
  readonly #garbage = new GarbageBound();
  #unaccountedCgroups = 0;
  #lostCgroups = 0;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    const tracked = this.#tracked;
    this.#replies = new Replies(() => parts.queue.wake());
    const onHandedOver = () => this.#replies.flushLater();
    this.#handover = new Handover({ ...parts, tracked, onHandedOver });
    const onWritten = (written: Tracked) => this.#goOn(written);
    this.#writer = new RecordWriter({ ...parts, tracked, onWritten });
  }

  get counts() {
    return {
      unaccountedCgroups: this.#unaccountedCgroups,
      supersededReports: this.#writer.supersededReports,
      lostCgroups: this.#lostCgroups,
    };
  }

  /** Returns whether a record is held back because its directory has to be deleted first. */
  isHeld(number: number): boolean {
    return this.#tracked.ofNumber(number)?.isHandedOver === false;
  }

  /** Returns whether a record was handed over although its directory exists. */
  isKept(number: number): boolean {
    return this.#tracked.ofNumber(number)?.isHandedOver === true;
  }

  /** Returns whether a cgroup has become empty and waits to be deleted. */
  hasBecomeEmpty(id: string): boolean {
    return this.#tracked.ofId(id)?.isHandedOver === false;
  }

  /**
   * Sets the reaper's thread that runs from now on. The thread sends `scanned` when it has read
   * the cgroup tree.
   */
  connect(releaser: Releaser): void {
    this.#replies.connect(releaser);
  }

  /**
   * Forgets the releases of a thread that has ended, except those of vanished cgroups: the next
   * thread sends all others again.
   */
  disconnect(): void {
    this.#replies.disconnect();
    this.#isScanned = false;
    this.#byRelease = new Map();
    for (const tracked of this.#tracked.latest()) tracked.release = undefined;
    for (const [key, { release }] of this.#deferred)
      if (!release.vanished) this.#deferred.delete(key);
  }

  /**
   * Decides on the releases that have waited, once it is known whether to account them.
   * @param wanted true if there is or will be a handler; undefined while that is not known
   */
  setAccounting(wanted: boolean | undefined): void {
    this.#isAccounting = wanted;
    this.#takeDeferred();
  }

  /** Takes releases. See ReaperDialogue (reaper/messages.ts) for this and the other events. */
  released(releases: readonly Release[]): void {
    for (const release of releases) {
      this.#parts.queue.becameEmpty(release.record.id);
      const key = release.vanished ? this.#nextVanished-- : release.number;
      const { releaser } = this.#replies;
      this.#deferred.set(key, { release, releaser, isDeleted: release.vanished });
      this.#garbage.passed(recordSize(release.record));
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

  #letGo({ release, releaser }: Deferred): void {
    this.#replies.letGo(release, releaser);
  }

  /** Lets the reaper delete the directory without accounting, because there is no handler. */
  #pass(deferred: Deferred): void {
    const { vanished, number } = deferred.release;
    this.#unaccountedCgroups++;
    if (!vanished) this.#replies.journalled(number);
    this.#letGo(deferred);
  }

  /** Returns whether there is a record with these figures; if so, continues with that record. */
  #isRecorded({ release, isDeleted }: Deferred): boolean {
    const { id, cpuTotalUsec } = release.record;
    const before = this.#tracked.ofId(id);
    if (before === undefined || hasGrown(before, cpuTotalUsec)) return false;
    if (!release.isFound && !release.vanished) return false;
    before.isDeleted = isDeleted;
    this.#nameRelease(before, release.vanished ? undefined : release.number);
    // If the record is still being written, `onWritten` continues.
    if (before.isWritten) this.#goOn(before);
    return true;
  }

  #take(deferred: Deferred): void {
    const { record, vanished, number, replaces } = deferred.release;
    // The reaper does not mention a replaced release again.
    if (replaces !== undefined) this.#byRelease.delete(replaces);
    const { id, report, cpuTotalUsec } = record;
    const before = this.#tracked.ofId(id);
    const { isDeleted } = deferred;
    const tracked = newTracked({ id, report, cpuTotalUsec, record, isDeleted });
    this.#nameRelease(tracked, vanished ? undefined : number);
    this.#tracked.add(tracked);
    tracked.written = this.#writer
      .write(tracked, before)
      // The journal is closed: the next start finds the directory if it still exists.
      .catch(() => this.#cannotWrite(tracked))
      .then(() => this.#letGo(deferred));
    // If this record is withdrawn, the next one follows `before`, but not until it is certain
    // whether `before` waits again.
    if (before !== undefined) before.written = tracked.written;
  }

  #cannotWrite({ isDeleted, isWithdrawn }: Tracked): void {
    if (isDeleted && !isWithdrawn) this.#lostCgroups++;
  }

  #nameRelease(tracked: Tracked, release: number | undefined): void {
    tracked.release = release;
    if (release !== undefined) this.#byRelease.set(release, tracked);
  }

  /** Continues with a record that was written. */
  #goOn(tracked: Tracked): void {
    if (tracked.isDeleted) this.#handover.directoryIsGone(tracked);
    else if (tracked.release !== undefined) this.#replies.journalled(tracked.release);
  }

  /** Notes that the directories of these releases are gone. */
  deleted(releases: readonly number[]): void {
    for (const release of releases) {
      const deferred = this.#deferred.get(release);
      if (deferred !== undefined) deferred.isDeleted = true;
      const tracked = this.#byRelease.get(release);
      if (tracked === undefined) continue;
      this.#byRelease.delete(release);
      this.#handover.isDeleted(tracked);
    }
  }

  /** Hands over the records of these releases, whose directories cannot be deleted for now. */
  kept(releases: readonly number[]): void {
    for (const release of releases) {
      const tracked = this.#byRelease.get(release);
      if (tracked !== undefined) this.#handover.handOver(tracked);
    }
  }

  /** Withdraws the records of these releases, whose cgroups have processes again. */
  withdrawn(releases: readonly number[]): void {
    for (const release of releases) {
      const deferred = this.#deferred.get(release);
      if (deferred !== undefined) this.#letGo(deferred);
      this.#deferred.delete(release);
      const tracked = this.#byRelease.get(release);
      this.#byRelease.delete(release);
      if (tracked !== undefined) this.#handover.withdraw(tracked);
    }
  }

  /**
   * Takes the ids of the cgroups whose directories exist. Looks for their records, which may come
   * from an earlier thread, and then takes the releases that have waited.
   */
  async scanned(populated: readonly string[], empty: readonly string[]): Promise<void> {
    const { releaser } = this.#replies;
    const running = new Set(populated);
    const told = [...this.#deferred.values()].map(({ release }) => release.record.id);
    const ids = new Set([...populated, ...empty, ...told]);
    const found = await this.#find(ids);
    // The journal is closed, or the thread has ended: the next one sends everything again.
    if (found === undefined || this.#replies.releaser !== releaser) return;
    for (const [id, records] of found)
      if (this.#tracked.ofId(id) === undefined) this.#track(id, records);
    for (const tracked of this.#tracked.latest()) {
      if (running.has(tracked.id)) this.#handover.withdrawAll(tracked);
      else if (!ids.has(tracked.id)) this.#handover.isDeleted(tracked);
    }
    this.#isScanned = true;
    this.#parts.window.openBoot();
    this.#takeDeferred();
    this.#replies.flushLater();
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

  /** Tracks the records that the journal has of a cgroup. @param records oldest first */
  #track(id: string, records: readonly FoundRecord[]): void {
    let earlier: Tracked | undefined;
    for (const { number, report, cpuTotalUsec } of records) {
      const isHandedOver = this.#parts.store.state(number) !== RecordState.WAITING;
      earlier = newTracked({ id, report, cpuTotalUsec, number, isHandedOver, earlier });
      earlier.isWritten = true;
      this.#tracked.add(earlier);
    }
  }
}

function hasGrown(before: Tracked, cpuTotalUsec: number | undefined): boolean {
  const grownUsec = (cpuTotalUsec ?? 0) - (before.cpuTotalUsec ?? 0);
  return grownUsec > (before.isHandedOver ? ECHO_USEC : 0);
}
