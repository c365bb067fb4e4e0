/** A queue, and a queue whose items become due after a fixed time. Neither reads a clock. */

/** A queue: first in, first out. It keeps no reference to an item that was taken. */
export class Queue<Item> {
  /** The items that are taken first, in reverse order. */
  #front: Item[] = [];
  /** The items that were added after those in `#front`, in order. */
  #back: Item[] = [];

  /** Adds an item as the last one. */
  add(item: Item): void {
    this.#back.push(item);
  }

  get length(): number {
    return this.#front.length + this.#back.length;
  }

  /** Returns the next item, which stays in the queue; undefined if there is none. */
  get next(): Item | undefined {
    return this.#front.at(-1) ?? this.#back[0];
  }

  /** Removes and returns the next item; undefined if there is none. */
  take(): Item | undefined {
    if (this.#front.length === 0) {
      this.#front = this.#back.reverse();
      this.#back = [];
    }
    return this.#front.pop();
  }
}

/** Items that become due a fixed time after their addition, and in the order of their addition. */
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
