/** A socket that cannot be had for the moment: everything else runs, and it is tried again. */
import { setTimeout as sleep } from "node:timers/promises";
import { errorText } from "@cm4all/linux";
import { Backoff, doubling } from "@cm4all/supervision";

/** Between attempts to listen. */
const LISTEN_PAUSES = doubling(1000, 60_000);

/**
 * Calls `open` until it succeeds or `signal` is aborted.
 * @param failed is told of each failure
 * @returns after the first attempt; the others go on meanwhile
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
  // It rejects only where it is aborted, which ends it.
  if (!(await attempt())) void goOn().catch(() => {});
}
