/**
 * Ends names: those that have expired, those that a purge or a shutdown is about. A name
 * whose PID namespace holds processes besides the init is spared, unless all are to end: a
 * client that never took a lease must not lose them. Its time runs anew.
 */
import { LOG_WARNING } from "../../log/log.ts";
import type { LogOnce } from "../../log/log-once.ts";
import { type EventLoop, monotonicMs } from "../../thread/event-loop.ts";
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
   * @param ownInode of the daemon's PID namespace
   * @param onEnded is told when names have ended
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
   * Ends the names that were not used after `untilMs` and in which nothing lives; takes
   * some turns of the loop.
   * @param done is told how many
   * @param meant leaves alone all others; undefined for none
   */
  endIdle(untilMs: number, done: (count: number) => void, meant?: ReadonlySet<string>): void {
    this.#runInSlices(this.#endIdle(untilMs, meant), done);
  }

  /**
   * Kills the inits of names in which nothing lives, and leaves it at that: for the end of
   * a daemon whose store nobody keeps.
   */
  killIdleInits(done: () => void): void {
    this.#runInSlices(this.#killIdleInits(), done);
  }

  /** Ends all names there are, or those that are meant, whatever lives in them. */
  endAll(done: (count: number) => void, meant?: ReadonlySet<string>): void {
    this.#runInSlices(this.#endAll(meant), done);
  }

  #runInSlices(work: Generator<void, number>, done: (count: number) => void): void {
    runInSlices(
      this.#loop,
      work,
      (count = 0) => {
        this.#onEnded();
        done(count);
      },
      (error) =>
        this.#logOnce.log(
          `expiry ${error.message}`,
          LOG_WARNING,
          `names cannot be ended for the moment: ${error.message}`,
        ),
    );
  }

  *#endIdle(untilMs: number, meant: ReadonlySet<string> | undefined): Generator<void, number> {
    const idle = this.#registry.idleUntil(untilMs);
    const due = meant === undefined ? idle : idle.filter(({ name }) => meant.has(name));
    const busy = yield* this.#findBusy(due);
    let count = 0;
    for (const set of due) {
      yield;
      // It may have been used or ended meanwhile.
      if (!this.#registry.isIdleSince(set, untilMs)) continue;
      if (set.init !== undefined && busy.has(set.init.inode)) {
        this.#counts.sparedNames++;
        this.#registry.touch(set);
      } else {
        this.#end(set);
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
  *#findBusy(sets: readonly NamespaceSet[]): Generator<void, ReadonlySet<number>> {
    const inits = sets.flatMap(({ init }) => (init === undefined ? [] : [init]));
    if (inits.length === 0) return new Set();
    return yield* scanProcesses(inits, this.#ownInode);
  }

  *#endAll(meant: ReadonlySet<string> | undefined): Generator<void, number> {
    let count = 0;
    for (const set of [...this.#registry.sets()]) {
      yield;
      if (meant !== undefined && !meant.has(set.name)) continue;
      if (this.#registry.get(set.name) !== set) continue;
      this.#end(set);
      count++;
    }
    return count;
  }

  #end(set: NamespaceSet): void {
    this.#registry.remove(set);
    this.#counts.endedNames++;
  }
}
