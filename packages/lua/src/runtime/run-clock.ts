/** Limits the time that Lua code takes between two waits: all other handlers wait meanwhile. */

/**
 * By default, the daemon kills a script host that is silent for 10 seconds. Instructions and the
 * work of the libraries are counted at an estimated cost; this limits the CPU time that they really
 * take.
 */
const CPU_SECONDS = 5;
/** Limits elapsed time: if we get no processor, the daemon's 10 seconds pass all the same. */
const SECONDS = 7;
/** If less CPU time was used, the code did not compute, but waited for a program that it ran. */
const LEAST_CPU_SECONDS = 1;

export class RunClock {
  readonly #start: number;
  readonly #cpu = process.cpuUsage();

  /** @param start when the code began, in the time of `performance.now()` */
  constructor(start: number) {
    this.#start = start;
  }

  /** Returns the seconds since the start if the code may not go on; otherwise undefined. */
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
