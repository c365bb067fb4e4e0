/** How long Lua code computes between two waits: all other handlers wait meanwhile. */

/**
 * The daemon gives the host up when it is silent for 10 seconds. Instructions and what the
 * libraries do are counted, at a price that is an estimate; time is what they add up to.
 */
const CPU_SECONDS = 5;
/** On a host that has no processor for us the daemon's 10 seconds go by all the same. */
const SECONDS = 7;
/** With less computed, it was a command that blocked. */
const LEAST_CPU_SECONDS = 1;

export class RunClock {
  readonly #start: number;
  readonly #cpu = process.cpuUsage();

  /** @param start when the code began, by `performance.now()` */
  constructor(start: number) {
    this.#start = start;
  }

  /** The seconds since the start if it may not go on. */
  secondsIfTooLong(): number | undefined {
    const seconds = (performance.now() - this.#start) / 1000;
    if (seconds < CPU_SECONDS) return undefined;
    const { user, system } = process.cpuUsage(this.#cpu);
    const cpuSeconds = (user + system) / 1e6;
    const tooLong =
      cpuSeconds > CPU_SECONDS || (seconds > SECONDS && cpuSeconds > LEAST_CPU_SECONDS);
    return tooLong ? Math.round(seconds) : undefined;
  }
}
