/**
 * Hands a record over to the queue when the directory of its cgroup is gone or cannot be deleted.
 * Withdraws the record of a cgroup that has processes again.
 */
import { RecordState } from "@cm4all/journal";
import type { JournalStore } from "../journal/journal-store.ts";
import type { RecordWindow } from "../journal/window.ts";
import type { Tracked, TrackedRecords } from "./tracked.ts";

export interface HandoverParts {
  readonly store: Pick<JournalStore, "state" | "mark">;
  readonly window: Pick<RecordWindow, "add">;
  readonly tracked: TrackedRecords;
  /** Called when a record has been handed over. */
  readonly onHandedOver: () => void;
}

export class Handover {
  readonly #parts: HandoverParts;

  constructor(parts: HandoverParts) {
    this.#parts = parts;
  }

  /** Hands over a record whose directory is gone or cannot be deleted. */
  handOver(tracked: Tracked): void {
    if (tracked.isHandedOver || tracked.number === undefined) return;
    tracked.isHandedOver = true;
    this.#parts.window.add(tracked.number, tracked.fresh);
    tracked.fresh = undefined;
    this.#parts.onHandedOver();
  }

  /**
   * Notes that the directory is gone. A record that is still being written is handed over later.
   */
  isDeleted(tracked: Tracked): void {
    tracked.isDeleted = true;
    if (tracked.isWritten) this.directoryIsGone(tracked);
  }

  /**
   * Hands over the latest report of a cgroup whose directory is gone, and those earlier reports
   * that have been held back. Drops reports that were accounted and are no longer needed.
   */
  directoryIsGone(latest: Tracked): void {
    for (let each: Tracked | undefined = latest; each !== undefined; each = each.earlier) {
      this.#parts.tracked.remove(each);
      if (!each.isHandedOver) this.handOver(each);
      else if (this.#isRememberedInVain(each)) this.#drop(each.number);
    }
  }

  /**
   * Returns whether a record was accounted and need not be kept. While the report before it is
   * parked, it is kept, because a retry of that report has to find it.
   */
  #isRememberedInVain(tracked: Tracked): boolean {
    const stateOf = (each: Tracked | undefined) =>
      each?.number === undefined ? undefined : this.#parts.store.state(each.number);
    return (
      stateOf(tracked) === RecordState.ACCOUNTED && stateOf(tracked.earlier) !== RecordState.PARKED
    );
  }

  /** Withdraws a record whose cgroup has processes again, unless the record was handed over. */
  withdraw(tracked: Tracked): void {
    if (tracked.isHandedOver) return;
    tracked.isWithdrawn = true;
    this.#parts.tracked.remove(tracked);
    this.#drop(tracked.number);
  }

  /** Withdraws the latest report of a cgroup and all reports before it. */
  withdrawAll(latest: Tracked): void {
    for (let each: Tracked | undefined = latest; each !== undefined; each = each.earlier)
      this.withdraw(each);
  }

  #drop(number: number | undefined): void {
    if (number === undefined) return;
    this.#parts.store.mark(number, RecordState.GONE).catch(() => {
      // The journal is closed: the next start finds the record as it was.
    });
  }
}
