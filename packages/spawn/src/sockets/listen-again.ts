/**
 * Retries listening on a socket that is not available at the moment, while everything else runs.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { errorText } from "@cm4all/linux";
import { Backoff, doubling } from "@cm4all/supervision";

/** The pauses between attempts to listen. */
const LISTEN_PAUSES = doubling(1000, 60_000);

/**
 * Calls `open` until it succeeds or `signal` is aborted.
 * @param failed called for each failure
 * @returns after the first attempt; further attempts go on in the background
 */
export async function listenAgain(
  open: () => Promise<void>,
  failed: (problem: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const backoff = new Backoff(LISTEN_PAUSES);
  const attempt = async () => {
    if (signal.aborted) return true;
    try {
      await open();
      return true;
    } catch (error) {
      if (!signal.aborted) failed(errorText(error));
      return signal.aborted;
    }
  };
  const goOn = async () => {
    do await sleep(backoff.failed(), undefined, { signal, ref: false });
    while (!(await attempt()));
  };
  // goOn rejects only when it is aborted, which is no failure.
  if (!(await attempt())) void goOn().catch(() => {});
}
