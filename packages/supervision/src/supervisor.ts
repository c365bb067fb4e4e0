/**
 * Starts something again whenever it has ended, after a pause that grows while it does
 * no good. What it is, and how it tells that it has ended, is its owner's affair: the
 * owner calls `ended`, the supervisor calls `start`.
 *
 * Invariants: one of it runs at a time. There is a timer exactly while the state is
 * `pausing`, and the supervisor owns it.
 */
import { Backoff, type Pauses } from "./backoff.ts";

export interface Supervised {
  /**
   * Starts it; the state is `running` already. If that fails at once, it calls `ended`
   * itself. What it throws goes to whoever caused the start: the caller of
   * `Supervisor.start`, or, after a pause, the process as an uncaught exception.
   */
  start(): void;
  /** Between its ends and its starts. */
  readonly pauses: Pauses;
  /** If it ran for longer than this, in milliseconds, the pauses begin anew. By default only `worked` does that. */
  readonly ranWellMs?: number;
}

/** `pausing`: it has ended, and is started again after a pause. */
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

  /** Starts it now, also in the middle of a pause; does nothing while it runs. */
  start(): void {
    if (this.#state === "running") return;
    this.#endPause();
    this.#state = "running";
    this.#startedMs = performance.now();
    this.#supervised.start();
  }

  /** Notes that it does its work: the pauses begin anew. */
  worked(): void {
    this.#backoff.reset();
  }

  /**
   * Notes that it has ended, and plans its next start.
   * @returns the pause until then, in milliseconds; undefined if it was stopped
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

  /** Gives it up: it is not started again. Its owner ends what still runs. */
  stop(): void {
    this.#endPause();
    this.#state = "stopped";
  }

  #endPause(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
