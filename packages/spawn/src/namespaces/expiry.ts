/**
 * Names end some time after their last use. One whose PID namespace holds processes
 * besides the init is not ended: a client that never took a lease must not lose them.
 * It is looked at again after the same time.
 */
import { LOG_WARNING } from "../log.ts";
import { monotonicMs, type Timer } from "../thread/event-loop.ts";
import type { Context } from "./context.ts";
import type { Entry } from "./entry.ts";
import { scanProcesses } from "./process-scan.ts";
import type { Registry } from "./registry.ts";
import { runInSlices } from "./slices.ts";

/** Names that expire within this time of each other share one walk over `/proc`. */
const BATCH_MS = 1000;

export class Expiry {
  readonly #context: Context;
  readonly #registry: Registry;
  readonly #ownInode: number;
  readonly #onEnded: () => void;
  #timer: Timer | undefined;
  #isRunning = false;
  /** How many names have ended. */
  expired = 0;
  /** How many times a name was spared because processes were in it. */
  spared = 0;

  /**
   * @param ownInode of the daemon's PID namespace
   * @param onEnded is told when names have ended
   */
  constructor(context: Context, registry: Registry, ownInode: number, onEnded: () => void) {
    this.#onEnded = onEnded;
    this.#context = context;
    this.#registry = registry;
    this.#ownInode = ownInode;
  }

  /** To be called whenever a name has become idle. */
  plan(): void {
    if (this.#timer !== undefined || this.#isRunning) return;
    const oldestMs = this.#registry.oldestUseMs();
    if (oldestMs === undefined) return;
    const { lifetimeMs } = this.#context.policy;
    const batchMs = Math.min(BATCH_MS, lifetimeMs / 10);
    const delayMs = oldestMs + lifetimeMs + batchMs - monotonicMs();
    this.#timer = this.#context.engine.after(Math.max(delayMs, batchMs), () => this.#run());
  }

  /** To be called when the lifetime of names has changed. */
  replan(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.plan();
  }

  #run(): void {
    this.#timer = undefined;
    this.#isRunning = true;
    this.endIdle(monotonicMs() - this.#context.policy.lifetimeMs, () => {
      this.#isRunning = false;
      this.plan();
    });
  }

  /**
   * Ends the names that were not used after `untilMs` and in which nothing lives; takes
   * some turns of the loop.
   * @param done is told how many
   */
  endIdle(untilMs: number, done: (count: number) => void): void {
    this.#runInSlices(this.#endIdle(untilMs), done);
  }

  /**
   * Kills the inits of names in which nothing lives, and leaves it at that: for the end of
   * a daemon whose store nobody keeps.
   */
  killIdleInits(done: () => void): void {
    this.#runInSlices(this.#killIdleInits(), done);
  }

  /** Ends all names there are, whatever lives in them. */
  endAll(done: (count: number) => void): void {
    this.#runInSlices(this.#endAll(), done);
  }

  #runInSlices(work: Generator<void, number>, done: (count: number) => void): void {
    runInSlices(
      this.#context.engine,
      work,
      (count = 0) => {
        this.#onEnded();
        done(count);
      },
      (error) =>
        this.#context.logOnce.log(
          `expiry ${error.message}`,
          LOG_WARNING,
          `names cannot be ended for the moment: ${error.message}`,
        ),
    );
  }

  *#endIdle(untilMs: number): Generator<void, number> {
    const due = this.#registry.idleUntil(untilMs);
    const busy = yield* this.#findBusy(due);
    let count = 0;
    for (const entry of due) {
      yield;
      // It may have been used or ended meanwhile.
      if (!this.#registry.isIdleSince(entry, untilMs)) continue;
      if (entry.init !== undefined && busy.has(entry.init.inode)) {
        this.spared++;
        this.#registry.touch(entry);
      } else {
        this.#end(entry);
        count++;
      }
    }
    return count;
  }

  *#killIdleInits(): Generator<void, number> {
    const idle = this.#registry.idleUntil(monotonicMs());
    const busy = yield* this.#findBusy(idle);
    for (const { init } of idle) {
      yield;
      if (init !== undefined && !busy.has(init.inode)) init.kill();
    }
    return 0;
  }

  /** The PID namespaces, by inode, in which processes live besides the init. */
  *#findBusy(entries: readonly Entry[]): Generator<void, ReadonlySet<number>> {
    const inits = entries.flatMap(({ init }) => (init === undefined ? [] : [init]));
    if (inits.length === 0) return new Set();
    return yield* scanProcesses(inits, this.#ownInode);
  }

  *#endAll(): Generator<void, number> {
    let count = 0;
    for (const entry of [...this.#registry.entries()]) {
      yield;
      if (this.#registry.get(entry.name) !== entry) continue;
      this.#end(entry);
      count++;
    }
    return count;
  }

  #end(entry: Entry): void {
    this.#registry.remove(entry);
    this.expired++;
  }
}
