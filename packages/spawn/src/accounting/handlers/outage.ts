/**
 * Limits the calls of handlers while none succeeds, because the database or something else that
 * they need is missing: one handler at a time, with pauses in between.
 */
import { Backoff, doubling } from "@cm4all/supervision";

/** The pauses between two probes. */
export const PROBE_PAUSES = doubling(1000, 30_000);

/** The state of an outage. A probe is a call of a handler that tests whether the outage is over. */
export class Outage {
  readonly #backoff = new Backoff(PROBE_PAUSES);
  readonly #onProbe: () => void;
  #isOn = false;
  #mayProbe = false;
  #isProbing = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param onProbe called after a pause, when a handler may be called as a probe */
  constructor(onProbe: () => void) {
    this.#onProbe = onProbe;
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** True if a handler may be called now as a probe. */
  get mayProbe(): boolean {
    return this.#mayProbe;
  }

  /** Notes that a probe has begun. */
  probe(): void {
    this.#mayProbe = false;
    this.#isProbing = true;
  }

  /** Begins the outage. Returns the first pause in milliseconds. */
  begin(): number {
    this.#isOn = true;
    return this.#pause();
  }

  /** Begins the next pause after a failed probe, unless the outage ended while the probe ran. */
  probeFailed(): void {
    if (this.#isProbing) this.#pause();
  }

  #pause(): number {
    this.#isProbing = false;
    this.#mayProbe = false;
    const pauseMs = this.#backoff.failed();
    this.#probeIn(pauseMs);
    return pauseMs;
  }

  /** If there is an outage and no probe runs, allows a probe immediately and resets the pauses. */
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

  /** Ends the outage, because a handler has succeeded or failures are not retried. */
  end(): void {
    this.#isOn = false;
    this.#isProbing = false;
    this.#mayProbe = false;
    clearTimeout(this.#timer);
    this.#backoff.reset();
  }
}
