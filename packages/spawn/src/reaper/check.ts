/** The periodic check: finds what no event has told, and tries again what has failed. */
import { latin1Of } from "@cm4all/linux";
import type { EventLoop } from "../thread/event-loop.ts";
import { Queue } from "./deadlines.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Place } from "./scopes.ts";
import { type Difference, TreeNode } from "./tree-node.ts";
import type { TreeWatch } from "./tree-watch.ts";

/**
 * The kernel tells of a change up to 10 ms late, and then only to a queue: what a
 * comparison finds counts as missed when this much later nothing has told of it.
 */
const GRACE_MS = 1000;

export interface CheckListener {
  /** A check begins. */
  begins(): void;
  /** All has been tried again that had been refused. */
  retried(): void;
  /** The events have not told of so many changes, which are repaired. */
  missed(changes: number): void;
  /** There is a step to be done. */
  wake(): void;
}

/** What differs from what the events have told: in the tree, or the state of a cgroup. */
type Differences = Map<string, Difference<Place> | TreeNode<Place>>;

export class PeriodicCheck {
  readonly #loop: EventLoop;
  readonly #tree: TreeWatch<Place>;
  readonly #lifecycle: Lifecycle<TreeNode<Place>>;
  readonly #intervalMs: number;
  readonly #listener: CheckListener;
  /** What is being done, and what is to be done then. */
  readonly #work = new Queue<Generator<void, void>>();

  constructor(
    loop: EventLoop,
    tree: TreeWatch<Place>,
    lifecycle: Lifecycle<TreeNode<Place>>,
    intervalMs: number,
    listener: CheckListener,
  ) {
    this.#loop = loop;
    this.#tree = tree;
    this.#lifecycle = lifecycle;
    this.#intervalMs = intervalMs;
    this.#listener = listener;
  }

  /** From now on checks at each interval. */
  start(): void {
    this.#loop.after(this.#intervalMs, () => {
      // One that is not done yet, on a large or busy host, goes on.
      if (this.#work.next === undefined) this.#begin(this.#check());
      this.start();
    });
  }

  /** Measures what runs, for a first sample. */
  sample(): void {
    this.#begin(this.#lifecycle.measureRunning());
  }

  /** Does a little of the check. @returns false if none is being done */
  step(): boolean {
    const work = this.#work.next;
    if (work?.next().done === true) this.#work.take();
    return work !== undefined;
  }

  #begin(work: Generator<void, void>): void {
    this.#work.add(work);
    this.#listener.wake();
  }

  *#check(): Generator<void, void> {
    this.#listener.begins();
    yield* this.#tree.retryWatches();
    yield* this.#handleEvents();
    this.#listener.retried();
    yield* this.#lifecycle.retry();
    yield* this.#lifecycle.measureRunning();
    const suspects = yield* this.#differences();
    if (suspects.size > 0) this.#loop.after(GRACE_MS, () => this.#begin(this.#confirm(suspects)));
  }

  /** Lets the events that the kernel has queued go first. */
  *#handleEvents(): Generator<void, void> {
    this.#tree.noteEvents();
    while (this.#tree.isBusy) yield;
  }

  *#confirm(suspects: ReadonlyMap<string, unknown>): Generator<void, void> {
    yield* this.#handleEvents();
    const found = [...(yield* this.#differences())].filter(([key]) => suspects.has(key));
    for (const [, difference] of found) {
      if (difference instanceof TreeNode) this.#lifecycle.touched(difference, "comparison");
      else yield* this.#tree.apply([difference]);
      yield;
    }
    if (found.length > 0) this.#listener.missed(found.length);
  }

  *#differences(): Generator<void, Differences> {
    const found: Differences = new Map();
    for (const difference of yield* this.#tree.compare()) {
      const { kind, node, name } = difference;
      found.set(`${kind} ${latin1Of(node.path)} ${latin1Of(name)}`, difference);
    }
    for (const node of yield* this.#lifecycle.differing())
      found.set(`state ${latin1Of(node.path)}`, node);
    return found;
  }
}
