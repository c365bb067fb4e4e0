/** Pauses between failed attempts. Nothing here waits: that is left to the caller. */

/**
 * The pauses, in milliseconds, after the first failure in a row, after the second, and so on. The
 * last pause follows every further failure.
 */
export type Pauses = readonly [number, ...number[]];

/** Returns pauses that begin with `firstMs` and double up to `longestMs`. */
export function doubling(firstMs: number, longestMs: number): Pauses {
  if (!(firstMs > 0 && firstMs <= longestMs))
    throw new RangeError(`no pauses lead from ${firstMs} ms to ${longestMs} ms`);
  const later: number[] = [];
  for (let ms = firstMs * 2; ms < longestMs; ms *= 2) later.push(ms);
  return firstMs === longestMs ? [firstMs] : [firstMs, ...later, longestMs];
}

/** Returns the pause, in milliseconds, after that many failures in a row, counted from 1. */
export function pauseAfter(pauses: Pauses, failures: number): number {
  return pauses[Math.min(failures, pauses.length) - 1] ?? pauses[0];
}

/** Counts failures in a row, and returns the pause after each. */
export class Backoff {
  readonly #pauses: Pauses;
  #failures = 0;

  constructor(pauses: Pauses) {
    this.#pauses = pauses;
  }

  /** Counts a failure. Returns the pause before the next attempt, in milliseconds. */
  failed(): number {
    this.#failures++;
    return pauseAfter(this.#pauses, this.#failures);
  }

  /** Begins anew: the next failure counts as the first. */
  reset(): void {
    this.#failures = 0;
  }
}
