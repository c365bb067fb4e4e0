/** The periodic check: finds changes that no event has reported, and retries what has failed. */
import { latin1Of } from "@cm4all/linux";
import type { EventLoop } from "../thread/event-loop.ts";
import { Queue } from "./deadlines.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Place } from "./scopes.ts";
import { type Difference, TreeNode } from "./tree-node.ts";
import type { TreeWatch } from "./tree-watch.ts";

/**
 * The kernel reports a change up to 10 ms late, and its event may then wait in a queue. A
 * difference that a comparison finds counts as missed if no event has reported it within this time,
 * in milliseconds.
 */
const GRACE_MS = 1000;

export interface CheckListener {
  /** Called when a check begins. */
  begins(): void;
  /** Called when the watches that the kernel had refused have been requested again. */
  retried(): void;
  /** Called when changes were repaired that no event had reported. @param changes their number */
  missed(changes: number): void;
  /** Called when there is a step to be done. */
  wake(): void;
}

/** The differences from what the events have reported: in the tree, or in the state of a cgroup. */
type Differences = Map<string, Difference<Place> | TreeNode<Place>>;

export class PeriodicCheck {
  readonly #loop: EventLoop;
  readonly #tree: TreeWatch<Place>;
  readonly #lifecycle: Lifecycle<TreeNode<Place>>;
  readonly #intervalMs: number;
  readonly #listener: CheckListener;
  /** The work that is being done, and after it the work that is waiting. */
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

  /** Checks at each interval from now on. */
  start(): void {
    this.#loop.after(this.#intervalMs, () => {
      // On a large or busy host, the previous check may still be under way: then no new one begins.
      if (this.#work.next === undefined) this.#begin(this.#check());
      this.start();
    });
  }

  /** Measures running cgroups, for their first sample. */
  sample(): void {
    this.#begin(this.#lifecycle.measureRunning());
  }

  /** Does one step of the check. @returns false if no check is under way */
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
    yield* this.#tree.settle();
    this.#listener.retried();
    yield* this.#lifecycle.retry();
    yield* this.#lifecycle.measureRunning();
    const suspects = yield* this.#differences();
    if (suspects.size > 0) this.#loop.after(GRACE_MS, () => this.#begin(this.#confirm(suspects)));
  }

  *#confirm(suspects: ReadonlyMap<string, unknown>): Generator<void, void> {
    yield* this.#tree.settle();
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
