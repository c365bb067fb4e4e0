/**
 * Starts something again whenever it has ended, after a pause that grows for as long as it does
 * no work. The owner defines what is started and notices its end: the owner calls `ended`, the
 * supervisor calls `start`.
 *
 * Invariants: at most one instance runs at a time. There is a timer exactly while the state is
 * `pausing`, and the supervisor owns it.
 */
import { Backoff, type Pauses } from "./backoff.ts";

export interface Supervised {
  /**
   * Starts an instance; the state is `running` already. If that fails at once, `start` calls
   * `ended` itself. An exception goes to the caller of `Supervisor.start`, or, after a pause, to
   * the process as an uncaught exception.
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

  /** Starts an instance now, even during a pause; does nothing while one runs. */
  start(): void {
    if (this.#state === "running") return;
    this.#endPause();
    this.#state = "running";
    this.#startedMs = performance.now();
    this.#supervised.start();
  }

  /** Notes that the instance works: the pauses begin anew. */
  worked(): void {
    this.#backoff.reset();
  }

  /**
   * Notes that the instance has ended, and plans the next start.
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

  /** Stops supervising: nothing is started again. The owner ends an instance that still runs. */
  stop(): void {
    this.#endPause();
    this.#state = "stopped";
  }

  #endPause(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
