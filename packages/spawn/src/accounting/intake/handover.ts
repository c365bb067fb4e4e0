/**
 * Hands records over to the queue: when the directory of their cgroup is gone, or cannot be
 * deleted. A record of a cgroup that runs again is withdrawn.
 */
import { RecordState } from "@cm4all/journal";
import type { JournalStore } from "../journal/journal-store.ts";
import type { RecordWindow } from "../journal/window.ts";
import type { Tracked, TrackedRecords } from "./tracked.ts";

export interface HandoverParts {
  readonly store: Pick<JournalStore, "state" | "mark">;
  readonly window: Pick<RecordWindow, "add">;
  readonly tracked: TrackedRecords;
  /** A record was handed over. */
  readonly onHandedOver: () => void;
}

export class Handover {
  readonly #parts: HandoverParts;

  constructor(parts: HandoverParts) {
    this.#parts = parts;
  }

  /** Its directory cannot be deleted, or is gone. */
  handOver(tracked: Tracked): void {
    if (tracked.isHandedOver || tracked.number === undefined) return;
    tracked.isHandedOver = true;
    this.#parts.window.add(tracked.number, tracked.fresh);
    tracked.fresh = undefined;
    this.#parts.onHandedOver();
  }

  /** The directory is deleted. A record that is not written yet follows when it is. */
  isDeleted(tracked: Tracked): void {
    tracked.isDeleted = true;
    if (tracked.isWritten) this.directoryIsGone(tracked);
  }

  /**
   * Hands over the latest report of a cgroup, and those before it that wait for the end of its
   * directory.
   */
  directoryIsGone(latest: Tracked): void {
    for (let each: Tracked | undefined = latest; each !== undefined; each = each.earlier) {
      this.#parts.tracked.remove(each);
      if (!each.isHandedOver) this.handOver(each);
      else if (this.#isRememberedInVain(each)) this.#drop(each.number);
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

  /** Its cgroup runs again. If it was handed over, the next one is another report. */
  withdraw(tracked: Tracked): void {
    if (tracked.isHandedOver) return;
    tracked.isWithdrawn = true;
    this.#parts.tracked.remove(tracked);
    this.#drop(tracked.number);
  }

  /** Withdraws the latest report of a cgroup and all before it. */
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
