/**
 * Tells the reaper's thread which of its releases are in the journal, and of how many bytes it
 * may tell more: in one message for all that comes in a turn of the event loop.
 */
import { recordSize } from "@cm4all/cgroup";
import type { Release } from "../../reaper/messages.ts";

/** The reaper's thread, as far as it is told something. */
export interface Releaser {
  /** See ReaperDialogue. */
  journalled(releases: readonly number[], takenBytes: number): void;
}

export class Replies {
  readonly #onFlush: () => void;
  #releaser: Releaser | undefined;
  #journalled: number[] = [];
  /** Of releases that are let go and were not answered for yet. */
  #takenBytes = 0;
  #flushing: NodeJS.Immediate | undefined;

  /** @param onFlush called once for each turn in which something came */
  constructor(onFlush: () => void) {
    this.#onFlush = onFlush;
  }

  /** The thread that runs. */
  get releaser(): Releaser | undefined {
    return this.#releaser;
  }

  /** Says who gets the replies from now on. */
  connect(releaser: Releaser): void {
    this.#releaser = releaser;
  }

  /** The thread has ended: nobody waits for these any more. */
  disconnect(): void {
    this.#releaser = undefined;
    this.#journalled = [];
    this.#takenBytes = 0;
  }

  /** A release is in the journal, or does not need to be. */
  journalled(release: number): void {
    this.#journalled.push(release);
    this.flushLater();
  }

  /** Nothing of a release is kept for the thread that has told of it: it may tell so much more. */
  letGo({ record }: Release, releaser: Releaser | undefined): void {
    if (releaser !== this.#releaser) return;
    this.#takenBytes += recordSize(record);
    this.flushLater();
  }

  /** Has what was gathered be sent at the end of this turn. */
  flushLater(): void {
    this.#flushing ??= setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = undefined;
    const journalled = this.#journalled;
    const takenBytes = this.#takenBytes;
    this.#journalled = [];
    this.#takenBytes = 0;
    if (journalled.length > 0 || takenBytes > 0) this.#releaser?.journalled(journalled, takenBytes);
    this.#onFlush();
  }
}
