/**
 * Takes over what the reaper releases: into the journal first, then its directory may go,
 * then its record may be handed over. Here it is decided what becomes of each release;
 * record-writer.ts writes it, handover.ts hands it over, replies.ts answers.
 *
 * Invariants:
 * - The reaper is answered when the record is on the disk, and the one in whose place it
 *   stands is marked as gone there.
 * - A record whose directory is there is held back, unless the directory cannot be deleted.
 * - Until it is known which directories there are (`scanned`), and whether there is a
 *   handler at all, releases wait, and their directories stay.
 */
import { JournalClosed, RecordState } from "@cm4all/journal";
import { errorText } from "@cm4all/linux";
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

/**
 * The kernel charges a process for its last moments after it has left: so much more, of a
 * record that was handed over, is no other run.
 */
const ECHO_USEC = 200;

const FIND_PAUSE_MS = 1000;

export class Intake {
  readonly #parts: IntakeParts;
  #isAccounting: boolean | undefined;
  #isScanned = false;
  /** By the number of the release; negative for what has vanished, which nobody speaks of again. */
  readonly #deferred = new Map<number, Deferred>();
  #nextVanished = -1;
  readonly #tracked = new TrackedRecords();
  #byRelease = new Map<number, Tracked>();
  readonly #replies: Replies;
  readonly #handover: Handover;
  readonly #writer: RecordWriter;
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
    this.#replies.connect(releaser);
  }

  /** The thread has ended; the next one tells again what is there. */
  disconnect(): void {
    this.#replies.disconnect();
    this.#isScanned = false;
    this.#byRelease = new Map();
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
      const { releaser } = this.#replies;
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

  #letGo({ release, releaser }: Deferred): void {
    this.#replies.letGo(release, releaser);
  }

  /** There is no handler: the directory may go. */
  #pass(deferred: Deferred): void {
    const { vanished, number } = deferred.release;
    this.#unaccountedCgroups++;
    if (!vanished) this.#replies.journalled(number);
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
    tracked.written = this.#writer
      .write(tracked, before)
      // The journal is closed: the next start finds the directory, if it is there.
      .catch(() => this.#cannotWrite(tracked))
      .then(() => this.#letGo(deferred));
  }

  #cannotWrite({ isDeleted, isWithdrawn }: Tracked): void {
    if (isDeleted && !isWithdrawn) this.#lostCgroups++;
  }

  #nameRelease(tracked: Tracked, release: number | undefined): void {
    tracked.release = release;
    if (release !== undefined) this.#byRelease.set(release, tracked);
  }

  /** It is written. */
  #goOn(tracked: Tracked): void {
    if (tracked.isDeleted) this.#handover.directoryIsGone(tracked);
    else if (tracked.release !== undefined) this.#replies.journalled(tracked.release);
  }

  /** Takes note that the reaper has deleted the directories of these releases. */
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

  /** Hands over these releases, although their directories cannot be deleted for now. */
  kept(releases: readonly number[]): void {
    for (const release of releases) {
      const tracked = this.#byRelease.get(release);
      if (tracked !== undefined) this.#handover.handOver(tracked);
    }
  }

  /** Takes back these releases, whose cgroups have processes again. */
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

  /** It is known what is there: looks for its records, which may be of an earlier thread. */
  async scanned(populated: readonly string[], empty: readonly string[]): Promise<void> {
    const { releaser } = this.#replies;
    const running = new Set(populated);
    const told = [...this.#deferred.values()].map(({ release }) => release.record.id);
    const ids = new Set([...populated, ...empty, ...told]);
    const found = await this.#find(ids);
    // The next thread tells it all again.
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
}

function hasGrown(before: Tracked, cpuTotalUsec: number | undefined): boolean {
  const grownUsec = (cpuTotalUsec ?? 0) - (before.cpuTotalUsec ?? 0);
  return grownUsec > (before.isHandedOver ? ECHO_USEC : 0);
}
