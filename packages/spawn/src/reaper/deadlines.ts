/** Queues of items that become due at a time. Pure. */

/** The number of taken items after which their places in the array are freed. */
const COMPACT_AFTER = 1000;

/** A queue: first in, first out. */
export class Queue<Item> {
  #items: Item[] = [];
  #head = 0;

  /** Adds an item as the last one. */
  add(item: Item): void {
    this.#items.push(item);
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Returns the next item, which stays in the queue; undefined if there is none. */
  get next(): Item | undefined {
    return this.#items[this.#head];
  }

  /** Removes and returns the next item; undefined if there is none. */
  take(): Item | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#head++;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head > COMPACT_AFTER && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}

/** Items that become due a fixed time after they were added, and so in that order. */
export class Deadlines<Item> {
  readonly delayMs: number;
  readonly #queue = new Queue<{ readonly item: Item; readonly dueMs: number }>();

  constructor(delayMs: number) {
    this.delayMs = delayMs;
  }

  /** Adds an item. @param nowMs milliseconds of a clock that never jumps */
  add(item: Item, nowMs: number): void {
    this.#queue.add({ item, dueMs: nowMs + this.delayMs });
  }

  get length(): number {
    return this.#queue.length;
  }

  /** Returns the time at which the next item is due; infinite if there is none. */
  get nextMs(): number {
    return this.#queue.next?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  /** Removes and returns the next item if it is due. */
  take(nowMs: number): Item | undefined {
    return this.nextMs > nowMs ? undefined : this.#queue.take()?.item;
  }
}
