/** Measures what runs again and again, spread evenly over an interval. */
import type { EventLoop, Timer } from "../thread/event-loop.ts";

/** Fewer wake-ups for thousands of cgroups, of which each then has a few. */
const MIN_PAUSE_MS = 50;

/** So that one that comes in a quiet time does not wait for much longer than the interval. */
const PAUSES_PER_INTERVAL = 10;

/** What is measured, and who does it. */
export interface InterimWork {
  /** How many steps a round has, about. */
  count(): number;
  /** One round: a step for each. */
  round(): Generator<void, void>;
  /** There is a step to be done. */
  wake(): void;
}

export class Interim {
  readonly #loop: EventLoop;
  readonly #work: InterimWork;
  #intervalMs = 0;
  #timer: Timer | undefined;
  #round: Generator<void, void> | undefined;
  /** The time that has passed, times the cgroups: each step takes an interval of it. */
  #owedMs = 0;

  constructor(loop: EventLoop, work: InterimWork) {
    this.#loop = loop;
    this.#work = work;
  }

  /** @param intervalMs for one round; 0 ends it */
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

  /** Measures one. @returns false if it is not time for it */
  step(): boolean {
    if (this.#intervalMs === 0 || this.#owedMs < this.#intervalMs) return false;
    this.#owedMs -= this.#intervalMs;
    this.#round ??= this.#work.round();
    if (this.#round.next().done === true) {
      this.#round = undefined;
      // A new round has a time of its own.
      this.#owedMs = 0;
    }
    return true;
  }
}
