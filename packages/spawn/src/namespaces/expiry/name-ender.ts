/**
 * Ends names when they have expired or when an administrator purges them, and kills the inits of
 * idle names when the daemon ends and no later daemon can take the names over. All methods but
 * `endAll` spare a name whose PID namespace holds processes other than the init, because a client
 * that never took a lease must not lose its processes. After `endIdle`, the lifetime of such a name
 * begins again.
 */
import { LOG_WARNING } from "../../log/log.ts";
import type { LogOnce } from "../../log/log-once.ts";
import { type EventLoop, monotonicMs } from "../../thread/event-loop.ts";
import { errorKey, isSystemError } from "../errors.ts";
import type { NamespaceCounts } from "../metrics.ts";
import type { NamespaceSet } from "../names/namespace-set.ts";
import { scanProcesses } from "../names/process-scan.ts";
import type { Registry } from "../names/registry.ts";
import { runInSlices } from "./slices.ts";

export class NameEnder {
  readonly #loop: Pick<EventLoop, "after">;
  readonly #registry: Registry;
  readonly #ownInode: number;
  readonly #logOnce: LogOnce;
  readonly #onEnded: () => void;
  readonly #counts: NamespaceCounts;

  /**
   * @param ownInode the inode of the daemon's PID namespace
   * @param onEnded called when names have ended
   */
  constructor(
    loop: Pick<EventLoop, "after">,
    registry: Registry,
    ownInode: number,
    counts: NamespaceCounts,
    logOnce: LogOnce,
    onEnded: () => void,
  ) {
    this.#loop = loop;
    this.#registry = registry;
    this.#ownInode = ownInode;
    this.#counts = counts;
    this.#logOnce = logOnce;
    this.#onEnded = onEnded;
  }

  /**
   * Ends the names that were not used after `untilMs` and in which no process other than an init
   * runs. This takes several turns of the loop if there are many names or processes.
   * @param done called with the number of names that were ended
   * @param only the names that may be ended; undefined for all
   */
  endIdle(untilMs: number, done: (count: number) => void, only?: ReadonlySet<string>): void {
    this.#runInSlices(this.#endIdle(untilMs, only), done);
  }

  /**
   * Kills the inits of the names that are not leased and in which no other process runs, and leaves
   * everything else as it is. To be called when the daemon ends and no service manager keeps the
   * store.
   */
  killIdleInits(done: () => void): void {
    this.#runInSlices(this.#killIdleInits(), done);
  }

  /** Ends all names, or those in `only`, whatever processes run in them. */
  endAll(done: (count: number) => void, only?: ReadonlySet<string>): void {
    this.#runInSlices(this.#endAll(only), done);
  }

  #runInSlices(work: Generator<void, number>, done: (count: number) => void): void {
    runInSlices(
      this.#loop,
      work,
      (count = 0) => {
        this.#onEnded();
        done(count);
      },
      (error) => this.#failed(error),
    );
  }

  #failed(error: Error): void {
    this.#logOnce.log(
      `expiry ${errorKey(error)}`,
      LOG_WARNING,
      `names cannot be ended for the moment: ${error.message}`,
    );
  }

  *#endIdle(untilMs: number, only: ReadonlySet<string> | undefined): Generator<void, number> {
    const idle = this.#registry.idleUntil(untilMs);
    const due = only === undefined ? idle : idle.filter(({ name }) => only.has(name));
    const busy = yield* this.#findBusy(due);
    let count = 0;
    for (const set of due) {
      yield;
      // The name may have been used or ended in the meantime.
      if (!this.#registry.isIdleSince(set, untilMs)) continue;
      if (set.init !== undefined && busy.has(set.init.inode)) {
        this.#counts.sparedNames++;
        this.#registry.touch(set);
      } else if (this.#tryEnd(set)) count++;
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

  /** Finds the PID namespaces, by inode, in which processes other than the init run. */
  *#findBusy(sets: readonly NamespaceSet[]): Generator<void, ReadonlySet<number>> {
    const inits = sets.flatMap(({ init }) => (init === undefined ? [] : [init]));
    if (inits.length === 0) return new Set();
    return yield* scanProcesses(inits, this.#ownInode);
  }

  *#endAll(only: ReadonlySet<string> | undefined): Generator<void, number> {
    let count = 0;
    for (const set of [...this.#registry.sets()]) {
      yield;
      if (only !== undefined && !only.has(set.name)) continue;
      if (this.#registry.get(set.name) !== set) continue;
      if (this.#tryEnd(set)) count++;
    }
    return count;
  }

  /** Ends a name. If that fails, other names still end, and this one expires again later. */
  #tryEnd(set: NamespaceSet): boolean {
    try {
      this.#registry.remove(set);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#failed(error);
      return false;
    }
    this.#counts.endedNames++;
    return true;
  }
}
