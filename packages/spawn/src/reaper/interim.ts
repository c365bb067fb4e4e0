/** Measures running cgroups again and again, spread evenly over an interval. */
import type { EventLoop, Timer } from "../thread/event-loop.ts";

/**
 * The shortest pause, in milliseconds. If there are thousands of cgroups, each wake-up measures
 * several of them, which saves wake-ups.
 */
const MIN_PAUSE_MS = 50;

/**
 * The minimum number of pauses in an interval, so that a cgroup that appears in a quiet time does
 * not wait much longer than the interval.
 */
const PAUSES_PER_INTERVAL = 10;

/** The work that is done step by step. */
export interface InterimWork {
  /** Returns the approximate number of steps in a round. */
  count(): number;
  /** Runs one round, with a step for each cgroup. */
  round(): Generator<void, void>;
  /** Called when there is a step to be done. */
  wake(): void;
}

export class Interim {
  readonly #loop: EventLoop;
  readonly #work: InterimWork;
  #intervalMs = 0;
  #timer: Timer | undefined;
  #round: Generator<void, void> | undefined;
  /**
   * The time that has passed, multiplied by the number of cgroups. Each step subtracts one
   * interval from it.
   */
  #owedMs = 0;

  constructor(loop: EventLoop, work: InterimWork) {
    this.#loop = loop;
    this.#work = work;
  }

  /** @param intervalMs the length of a round; 0 stops the measurements */
  configure(intervalMs: number): void {
    if (intervalMs === this.#intervalMs) return;
    this.#intervalMs = intervalMs;
    this.#timer?.cancel();
    this.#round = undefined;
    this.#owedMs = 0;
    if (intervalMs > 0) this.#pause();
  }

  #pause(): void {
    const count = Math.max(1, this.#work.count());
    const wantedMs = Math.min(this.#intervalMs / count, this.#intervalMs / PAUSES_PER_INTERVAL);
    const pauseMs = Math.max(MIN_PAUSE_MS, wantedMs);
    this.#timer = this.#loop.after(pauseMs, () => {
      this.#owedMs += this.#work.count() * pauseMs;
      this.#work.wake();
      this.#pause();
    });
  }

  /** Measures a cgroup. @returns false if no measurement is due yet */
  step(): boolean {
    if (this.#intervalMs === 0 || this.#owedMs < this.#intervalMs) return false;
    this.#owedMs -= this.#intervalMs;
    this.#round ??= this.#work.round();
    if (this.#round.next().done === true) {
      this.#round = undefined;
      // A new round begins with nothing owed.
      this.#owedMs = 0;
    }
    return true;
  }
}
