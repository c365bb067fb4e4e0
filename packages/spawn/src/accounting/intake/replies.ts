/**
 * Reports to the reaper's thread which of its releases are in the journal, and how many more bytes
 * it may send. Sends at most one message in each turn of the event loop.
 */
import { recordSize } from "@cm4all/cgroup";
import type { Release } from "../../reaper/messages.ts";

/** The reaper's thread, as the receiver of replies. */
export interface Releaser {
  /** See ReaperDialogue (reaper/messages.ts). */
  journalled(releases: readonly number[], takenBytes: number): void;
}

export class Replies {
  readonly #onFlush: () => void;
  #releaser: Releaser | undefined;
  #journalled: number[] = [];
  /** The size of the releases that have been let go since the last message. */
  #takenBytes = 0;
  #flushing: NodeJS.Immediate | undefined;

  /** @param onFlush called at the end of each turn in which `flushLater` was called */
  constructor(onFlush: () => void) {
    this.#onFlush = onFlush;
  }

  /** The thread that gets the replies; undefined if none is running. */
  get releaser(): Releaser | undefined {
    return this.#releaser;
  }

  /** Sets the thread that gets the replies from now on. */
  connect(releaser: Releaser): void {
    this.#releaser = releaser;
  }

  /** Drops all replies, because the thread has ended. */
  disconnect(): void {
    this.#releaser = undefined;
    this.#journalled = [];
    this.#takenBytes = 0;
  }

  /** Replies that a release is in the journal, or need not be. */
  journalled(release: number): void {
    this.#journalled.push(release);
    this.flushLater();
  }

  /**
   * Lets the thread send as many more bytes as were in this release, which is no longer in memory.
   */
  letGo({ record }: Release, releaser: Releaser | undefined): void {
    if (releaser !== this.#releaser) return;
    this.#takenBytes += recordSize(record);
    this.flushLater();
  }

  /** Sends the gathered replies, and calls `onFlush`, at the end of this turn. */
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
