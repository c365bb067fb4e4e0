// @ts-check
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

/** A run that was ended before it was through. */
export class Ended extends Error {
  /** @override */
  name = "Ended";
}

/**
 * Whatever ends us, the machine ends with us, and what it needs is removed.
 * @template T
 * @param {number} seconds the time that it has
 * @param {string} output  where the reader finds more
 * @param {(signal: AbortSignal) => Promise<T>} work
 * @throws Ended in place of the error that comes of it
 */
export async function withEnd(seconds, output, work) {
  const end = new AbortController();
  const timer = setTimeout(() => end.abort("its time was up"), seconds * 1000);
  /** @param {string} signal */
  const abort = (signal) => end.abort(signal);
  for (const signal of SIGNALS) process.on(signal, abort);
  try {
    const result = await work(end.signal);
    end.signal.throwIfAborted();
    return result;
  } catch (error) {
    if (!end.signal.aborted) throw error;
    throw new Ended(`ended before it was through: ${end.signal.reason}; see ${output}`);
  } finally {
    clearTimeout(timer);
    for (const signal of SIGNALS) process.off(signal, abort);
  }
}
