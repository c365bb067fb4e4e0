/**
 * Reads the events of an inotify instance, and keeps them until they are handled. Counts bytes of
 * the kernel's format instead of events, because the kernel reports the size of its queue in bytes.
 */
import type { Inotify, InotifyEvent } from "@cm4all/linux";

/**
 * The limit for events that have been read but not handled, in bytes of the kernel's format. In
 * memory they take a few times as much. The kernel's queue holds 16,384 events, which take 1 MiB if
 * their names have up to 48 bytes.
 */
export const MAX_BACKLOG_BYTES = 2 * 1024 * 1024;

/** What is used of an inotify instance. */
export type EventQueue = Pick<Inotify, "read" | "hasMore" | "bytesRead" | "bytesQueued">;

export class EventBacklog {
  readonly #inotify: EventQueue;
  readonly #handledAtOnce: (event: InotifyEvent) => boolean;
  #hasEvents = false;
  /** Events that were read and have not been taken. */
  #waiting: InotifyEvent[] = [];
  #isTaken = false;
  /** The value that `Inotify.bytesRead` had when the latest events were taken. */
  #takenBytes = 0;
  /** The position before which all events have been handled; see `hasHandled`. */
  #handledBytes = 0;

  /**
   * @param inotify an instance that nobody else reads; the caller closes it
   * @param handledAtOnce is called for each event as soon as it has been read; returns false if
   *   the event must be kept until `take`
   */
  constructor(inotify: EventQueue, handledAtOnce: (event: InotifyEvent) => boolean) {
    this.#inotify = inotify;
    this.#handledAtOnce = handledAtOnce;
  }

  /** Notes that the kernel has queued events. */
  noteEvents(): void {
    this.#hasEvents = true;
  }

  /** Returns whether nothing is left to be taken, as far as is known. */
  get isEmpty(): boolean {
    return !this.#hasEvents && this.#waiting.length === 0;
  }

  /** The position after all events that have been read or are queued now, for `hasHandled`. */
  get end(): number {
    return this.#inotify.bytesRead + this.#inotify.bytesQueued;
  }

  /** Returns whether all events before a position have been handled. */
  hasHandled(end: number): boolean {
    return this.#handledBytes >= end;
  }

  /**
   * Reads the events that are queued now.
   * @returns false if too many events wait to be handled, and more may be queued
   */
  tryReadAhead(): boolean {
    if (this.#isFull) return false;
    // More events may come while these are read.
    const { end } = this;
    while (this.#inotify.bytesRead < end) {
      if (this.#isFull) return false;
      this.#read();
    }
    return true;
  }

  /**
   * Takes all events that have been read; reads only one buffer of events if there are none. The
   * caller calls `noteHandled` before it takes more.
   * @returns undefined if there are no events
   */
  take(): readonly InotifyEvent[] | undefined {
    if (this.#waiting.length === 0 && this.#hasEvents) this.#read();
    if (this.#waiting.length === 0) return undefined;
    const taken = this.#waiting;
    this.#waiting = [];
    this.#isTaken = true;
    this.#takenBytes = this.#inotify.bytesRead;
    return taken;
  }

  /** Notes that the events which were taken have been handled. */
  noteHandled(): void {
    this.#isTaken = false;
    this.#handledBytes = this.#takenBytes;
    this.#noteIfAllIsHandled();
  }

  get #isFull(): boolean {
    return this.#inotify.bytesRead - this.#handledBytes >= MAX_BACKLOG_BYTES;
  }

  #read(): void {
    const events = this.#inotify.read();
    // If events come later, the descriptor becomes ready again.
    this.#hasEvents = this.#inotify.hasMore;
    for (const event of events) if (!this.#handledAtOnce(event)) this.#waiting.push(event);
    this.#noteIfAllIsHandled();
  }

  /** If no event waits or is being handled, all that have been read have been handled. */
  #noteIfAllIsHandled(): void {
    if (!this.#isTaken && this.#waiting.length === 0) this.#handledBytes = this.#inotify.bytesRead;
  }
}
