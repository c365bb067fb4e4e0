/**
 * While nothing succeeds at all, one handler at a time is called, with pauses between:
 * the database, or whatever they need, is not there. Pure, but for the timer.
 */
import { Backoff, doubling } from "@cm4all/supervision";

/** Between two probes. */
export const PROBE_PAUSES = doubling(1000, 30_000);

export class Outage {
  readonly #backoff = new Backoff(PROBE_PAUSES);
  readonly #onProbe: () => void;
  #isOn = false;
  #mayProbe = false;
  #isProbing = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param onProbe called when a handler may be called after a pause */
  constructor(onProbe: () => void) {
    this.#onProbe = onProbe;
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** Whether one handler may be called now, to see. */
  get mayProbe(): boolean {
    return this.#mayProbe;
  }

  /** The next failure or success is that of a probe. */
  probe(): void {
    this.#mayProbe = false;
    this.#isProbing = true;
  }

  /** Begins, or goes on if a probe has failed. Returns the pause that follows, in milliseconds. */
  failed(): number {
    this.#isOn = true;
    this.#isProbing = false;
    this.#mayProbe = false;
    const pauseMs = this.#backoff.failed();
    this.#probeIn(pauseMs);
    return pauseMs;
  }

  /** Somebody has changed something: if there is an outage, its pauses begin anew, and without one. */
  probeSoon(): void {
    if (!this.#isOn || this.#isProbing) return;
    this.#backoff.reset();
    this.#probeIn(0);
  }

  #probeIn(pauseMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#mayProbe = true;
      this.#onProbe();
    }, pauseMs);
  }

  /** Something has succeeded, or is not to be waited for. */
  end(): void {
    this.#isOn = false;
    this.#isProbing = false;
    this.#mayProbe = false;
    clearTimeout(this.#timer);
    this.#backoff.reset();
  }
}
