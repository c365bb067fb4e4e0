/**
 * Keeps an instance of something, such as a process, running: whenever one has ended, starts
 * another. The pause before each start grows until an instance has done some work, or has run for
 * long enough. The owner defines what is started: the supervisor calls `Supervised.start`. The
 * owner also notices the end of an instance, and then calls `Supervisor.ended`.
 *
 * Invariants: at most one instance runs at a time, provided that the owner, once it has called
 * `Supervisor.stop`, does not call `Supervisor.start` before the instance has ended. There is a
 * timer exactly while the state is `pausing`, and the supervisor owns it.
 */
import { Backoff, type Pauses } from "./backoff.ts";

export interface Supervised {
  /**
   * Starts an instance; the state is `running` already. If the start fails immediately, this
   * function calls `ended` itself. An exception goes to the caller of `Supervisor.start`; after a
   * pause, it is an uncaught exception of the process.
   */
  start(): void;
  /** The pauses between the end of an instance and the next start. */
  readonly pauses: Pauses;
  /**
   * If an instance ran for longer than this, in milliseconds, the pauses begin anew. By default
   * only `worked` has that effect.
   */
  readonly ranWellMs?: number;
}

/** `pausing`: the last instance has ended, and the next one is started after a pause. */
export type SupervisionState = "stopped" | "running" | "pausing";

export class Supervisor {
  readonly #supervised: Supervised;
  readonly #backoff: Backoff;
  #state: SupervisionState = "stopped";
  #startedMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Nothing runs before `start` is called. */
  constructor(supervised: Supervised) {
    this.#supervised = supervised;
    this.#backoff = new Backoff(supervised.pauses);
  }

  get state(): SupervisionState {
    return this.#state;
  }

  /** Starts an instance now, even during a pause; does nothing while one is running. */
  start(): void {
    if (this.#state === "running") return;
    this.#endPause();
    this.#state = "running";
    this.#startedMs = performance.now();
    this.#supervised.start();
  }

  /** Notes that the instance has done some work: the pauses begin anew. */
  worked(): void {
    this.#backoff.reset();
  }

  /**
   * Notes that the instance has ended, and plans the next start, unless `stop` was called.
   * @returns the pause before that start, in milliseconds; undefined if this call plans none
   */
  ended(): number | undefined {
    if (this.#state !== "running") return undefined;
    const { ranWellMs = Number.POSITIVE_INFINITY } = this.#supervised;
    if (performance.now() - this.#startedMs > ranWellMs) this.#backoff.reset();
    const pauseMs = this.#backoff.failed();
    this.#state = "pausing";
    this.#timer = setTimeout(() => this.start(), pauseMs);
    return pauseMs;
  }

  /** Stops supervising: nothing is started again. A running instance is not ended. */
  stop(): void {
    this.#endPause();
    this.#state = "stopped";
  }

  #endPause(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
