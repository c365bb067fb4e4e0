import { bytesOfLatin1, type InotifyEvent } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { EventBacklog, type EventQueue, MAX_BACKLOG_BYTES } from "./event-backlog.ts";

/** The size of the events below: the header, and a name with its padding. */
const EVENT_BYTES = 32;

/** A queue in place of the kernel's. */
class Queue implements EventQueue {
  bytesRead = 0;
  hasMore = false;
  reads = 0;
  readonly #events: InotifyEvent[] = [];
  readonly #eventsPerRead: number;

  constructor(eventsPerRead: number) {
    this.#eventsPerRead = eventsPerRead;
  }

  /** Is called whenever events are read. */
  onRead = (): void => undefined;

  /** Adds an event for each of these watch descriptors. */
  add(...wds: number[]): void {
    for (const wd of wds) this.#events.push({ wd, mask: 0, name: bytesOfLatin1("") });
  }

  get bytesQueued(): number {
    return this.#events.length * EVENT_BYTES;
  }

  read(): InotifyEvent[] {
    this.reads++;
    const events = this.#events.splice(0, this.#eventsPerRead);
    this.bytesRead += events.length * EVENT_BYTES;
    this.hasMore = events.length === this.#eventsPerRead;
    this.onRead();
    return events;
  }
}

/** Makes a backlog. Events with negative watch descriptors are handled as they are read. */
function open(eventsPerRead = 4) {
  const queue = new Queue(eventsPerRead);
  const handledAtOnce: number[] = [];
  const backlog = new EventBacklog(queue, ({ wd }) => {
    if (wd < 0) handledAtOnce.push(wd);
    return wd < 0;
  });
  return { queue, backlog, handledAtOnce, take: () => backlog.take()?.map(({ wd }) => wd) };
}

describe("take", () => {
  it("reads nothing before events have been noted", () => {
    const { queue, backlog, take } = open();
    queue.add(1);
    expect(take()).toBeUndefined();
    expect(queue.reads).toBe(0);
    expect(backlog.isEmpty).toBe(true);
  });

  it("returns a buffer of events at a time, in their order, and reads again only if there may be more", () => {
    const { queue, backlog, take } = open();
    queue.add(1, 2, 3, 4, 5);
    backlog.noteEvents();
    expect(backlog.isEmpty).toBe(false);
    expect(take()).toEqual([1, 2, 3, 4]);
    backlog.noteHandled();
    expect(backlog.isEmpty).toBe(false);
    expect(take()).toEqual([5]);
    backlog.noteHandled();
    expect(backlog.isEmpty).toBe(true);
    expect(take()).toBeUndefined();
    expect(queue.reads).toBe(2);
  });

  it("returns all events that were read ahead, without reading", () => {
    const { queue, backlog, take } = open();
    queue.add(1, 2, 3, 4, 5);
    expect(backlog.tryReadAhead()).toBe(true);
    expect(backlog.isEmpty).toBe(false);
    queue.add(6);
    backlog.noteEvents();
    expect(take()).toEqual([1, 2, 3, 4, 5]);
    expect(queue.reads).toBe(2);
    backlog.noteHandled();
    expect(take()).toEqual([6]);
  });

  it("keeps events that were read before others are taken", () => {
    const { queue, backlog, take } = open();
    queue.add(1);
    backlog.tryReadAhead();
    queue.add(2);
    backlog.tryReadAhead();
    expect(take()).toEqual([1, 2]);
  });

  it("returns undefined if the queue is empty in spite of the note", () => {
    const { queue, backlog, take } = open();
    backlog.noteEvents();
    expect(take()).toBeUndefined();
    expect(queue.reads).toBe(1);
    expect(backlog.isEmpty).toBe(true);
  });

  it("returns undefined for a buffer whose events were all handled as they were read, and then takes the next", () => {
    const { queue, backlog, handledAtOnce, take } = open(2);
    queue.add(-1, -2, -3, 4);
    backlog.noteEvents();
    expect(take()).toBeUndefined();
    expect(backlog.isEmpty).toBe(false);
    expect(take()).toEqual([4]);
    expect(handledAtOnce).toEqual([-1, -2, -3]);
  });
});

describe("tryReadAhead", () => {
  it("reads what is queued now, and not what comes in the meantime", () => {
    const { queue, backlog, handledAtOnce } = open();
    queue.add(1, 2, 3, 4, -5);
    queue.onRead = () => queue.add(6, 7, 8, 9);
    expect(backlog.tryReadAhead()).toBe(true);
    expect(queue.reads).toBe(2);
    expect(handledAtOnce).toEqual([-5]);
    expect(queue.bytesQueued).toBeGreaterThan(0);
  });

  it("reads nothing if nothing is queued", () => {
    const { queue, backlog } = open();
    expect(backlog.tryReadAhead()).toBe(true);
    expect(queue.reads).toBe(0);
    expect(backlog.isEmpty).toBe(true);
  });

  it("stops at the limit, says so, and goes on as soon as events have been handled", () => {
    const perRead = 2048;
    const readsToLimit = MAX_BACKLOG_BYTES / (perRead * EVENT_BYTES);
    const { queue, backlog, take } = open(perRead);
    const wds = Array.from({ length: perRead * (readsToLimit + 1) }, (_, wd) => wd);
    queue.add(...wds);
    expect(backlog.tryReadAhead()).toBe(false);
    expect(queue.reads).toBe(readsToLimit);
    expect(backlog.tryReadAhead()).toBe(false);
    expect(take()).toHaveLength(perRead * readsToLimit);
    // Those that were taken still count.
    expect(backlog.tryReadAhead()).toBe(false);
    expect(queue.reads).toBe(readsToLimit);
    backlog.noteHandled();
    expect(backlog.tryReadAhead()).toBe(true);
    expect(take()).toEqual(wds.slice(-perRead));
  });

  it("returns true if the last events that are queued just reach the limit", () => {
    const perRead = 2048;
    const { queue, backlog } = open(perRead);
    const events = MAX_BACKLOG_BYTES / EVENT_BYTES;
    queue.add(...Array.from({ length: events }, (_, wd) => wd));
    expect(backlog.tryReadAhead()).toBe(true);
    expect(queue.bytesQueued).toBe(0);
    expect(backlog.tryReadAhead()).toBe(false);
  });

  it("is not kept from reading by events that were handled as they were read", () => {
    const perRead = 2048;
    const { queue, backlog } = open(perRead);
    const events = MAX_BACKLOG_BYTES / EVENT_BYTES;
    for (let i = 0; i < 3; i++) {
      queue.add(...Array.from({ length: events }, () => -1));
      expect(backlog.tryReadAhead()).toBe(true);
    }
    expect(queue.bytesQueued).toBe(0);
  });
});

describe("hasHandled", () => {
  it("becomes true when the events that were taken have been handled", () => {
    const { queue, backlog, take } = open();
    queue.add(1, 2);
    const { end } = backlog;
    expect(end).toBe(2 * EVENT_BYTES);
    expect(backlog.hasHandled(end)).toBe(false);
    backlog.noteEvents();
    take();
    expect(backlog.hasHandled(end)).toBe(false);
    backlog.noteHandled();
    expect(backlog.hasHandled(end)).toBe(true);
    expect(backlog.hasHandled(end + 1)).toBe(false);
  });

  it("takes a position from `end`, which is after all events that were read or are queued", () => {
    const { queue, backlog } = open();
    queue.add(1);
    backlog.tryReadAhead();
    queue.add(2, 3);
    expect(backlog.end).toBe(3 * EVENT_BYTES);
  });

  it("does not count events that were read while others were being handled", () => {
    const { queue, backlog, take } = open();
    queue.add(1);
    const first = backlog.end;
    backlog.noteEvents();
    take();
    queue.add(2);
    const second = backlog.end;
    backlog.tryReadAhead();
    backlog.noteHandled();
    expect(backlog.hasHandled(first)).toBe(true);
    expect(backlog.hasHandled(second)).toBe(false);
    take();
    backlog.noteHandled();
    expect(backlog.hasHandled(second)).toBe(true);
  });

  it("becomes true immediately if all events were handled as they were read", () => {
    const { queue, backlog } = open();
    queue.add(-1, -2);
    const { end } = backlog;
    backlog.tryReadAhead();
    expect(backlog.hasHandled(end)).toBe(true);
  });

  it("waits for earlier events, even if later ones were handled as they were read", () => {
    const { queue, backlog, take } = open();
    queue.add(1, -2);
    backlog.tryReadAhead();
    expect(backlog.hasHandled(EVENT_BYTES)).toBe(false);
    take();
    queue.add(-3);
    backlog.tryReadAhead();
    expect(backlog.hasHandled(EVENT_BYTES)).toBe(false);
    backlog.noteHandled();
    // Nothing else waits, so the later one counts as well.
    expect(backlog.hasHandled(backlog.end)).toBe(true);
  });
});
