/**
 * Names end some time after their last use. One whose PID namespace holds processes
 * besides the init is not ended: a client that never took a lease must not lose them.
 * It is looked at again after the same time.
 */
import { monotonicMs, type Timer } from "../thread/event-loop.ts";
import type { Context } from "./context.ts";
import type { Entry } from "./entry.ts";
import { scanProcesses } from "./process-scan.ts";
import type { Registry } from "./registry.ts";

/** Names that expire within this time of each other share one walk over `/proc`. */
const BATCH_MS = 1000;

export class Expiry {
  readonly #context: Context;
  readonly #registry: Registry;
  readonly #ownInode: number;
  readonly #onExpired: () => void;
  /** The timer of the next run; "running" while one goes on. */
  #next: Timer | "running" | undefined;
  /** How many names have ended. */
  expired = 0;
  /** How many times a name was spared because processes were in it. */
  spared = 0;

  /**
   * @param ownInode of the daemon's PID namespace
   * @param onExpired is told when names have ended
   */
  constructor(context: Context, registry: Registry, ownInode: number, onExpired: () => void) {
    this.#onExpired = onExpired;
    this.#context = context;
    this.#registry = registry;
    this.#ownInode = ownInode;
  }

  /** To be called whenever a name has become idle. */
  plan(): void {
    if (this.#next !== undefined) return;
    const oldestMs = this.#registry.oldestUseMs();
    if (oldestMs === undefined) return;
    const { lifetimeMs } = this.#context.policy;
    const batchMs = Math.min(BATCH_MS, lifetimeMs / 10);
    const delayMs = oldestMs + lifetimeMs + batchMs - monotonicMs();
    this.#next = this.#context.engine.after(Math.max(delayMs, batchMs), () => this.#run());
  }

  /** To be called when the lifetime has changed. */
  replan(): void {
    if (this.#next === "running") return;
    this.#next?.cancel();
    this.#next = undefined;
    this.plan();
  }

  #run(): void {
    this.#next = "running";
    const untilMs = monotonicMs() - this.#context.policy.lifetimeMs;
    const due = this.#registry.idleUntil(untilMs);
    this.expire(
      due,
      (entry) => this.#registry.isIdleSince(entry, untilMs),
      () => {
        this.#next = undefined;
        this.plan();
      },
    );
  }

  /**
   * Ends those names that nothing lives in, after a walk over `/proc` in small steps.
   * @param isStillDue is asked right before a name is ended: it may have been used meanwhile
   */
  expire(entries: readonly Entry[], isStillDue: (entry: Entry) => boolean, done: () => void): void {
    const namespaces = entries.flatMap(({ init }) =>
      init === undefined ? [] : [{ inode: init.inode, initPid: init.pid }],
    );
    // Without a PID namespace there is nothing to look for.
    if (namespaces.length === 0) {
      this.#end(entries, new Set(), isStillDue);
      done();
      return;
    }
    const scan = scanProcesses(namespaces, this.#ownInode);
    const step = () => {
      const result = scan.next();
      if (result.done !== true) {
        this.#context.engine.after(0, step);
        return;
      }
      this.#end(entries, result.value, isStillDue);
      done();
    };
    step();
  }

  #end(
    entries: readonly Entry[],
    busy: ReadonlySet<number>,
    isStillDue: (entry: Entry) => boolean,
  ): void {
    for (const entry of entries) {
      if (!isStillDue(entry)) continue;
      if (entry.init !== undefined && busy.has(entry.init.inode)) {
        this.spared++;
        this.#registry.touch(entry);
      } else {
        this.expired++;
        this.#registry.remove(entry);
      }
    }
    this.#onExpired();
  }
}
