// @ts-check
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Thrown if a run was ended before it was complete. */
export class Ended extends Error {
  /** @override */
  name = "Ended";
}

/**
 * Runs `work`. At the time limit, or at a Unix signal that would end this program, aborts the
 * AbortSignal that `work` gets, so that `work` ends its machine and removes its files.
 * @template T
 * @param {number} seconds the time limit
 * @param {string} output  the directory to which the error refers the reader
 * @param {(signal: AbortSignal) => Promise<T>} work
 * @throws Ended if `work` was aborted, whatever it returned or threw then
 */
export async function withEnd(seconds, output, work) {
  const end = new AbortController();
  const timer = setTimeout(() => end.abort("the time limit was reached"), seconds * 1000);
  /** @param {string} signal */
  const abort = (signal) => end.abort(signal);
  for (const signal of SIGNALS) process.on(signal, abort);
  try {
    const result = await work(end.signal);
    end.signal.throwIfAborted();
    return result;
  } catch (error) {
    if (!end.signal.aborted) throw error;
    throw new Ended(`ended early: ${end.signal.reason}; see ${output}`);
  } finally {
    clearTimeout(timer);
    for (const signal of SIGNALS) process.off(signal, abort);
  }
}
