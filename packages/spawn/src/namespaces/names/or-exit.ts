import { EX_OSERR } from "@cm4all/command";
import { errorText, exitImmediately } from "@cm4all/linux";
import { logLast } from "../../log/log.ts";

/**
 * Calls `move`, which returns the thread to its original place, and ends the process immediately if
 * that fails: everything that follows would be done in the wrong place.
 * @param what the kind of place, such as `mount namespace`
 */
export function orExit(what: string, move: () => void): void {
  try {
    move();
  } catch (error) {
    logLast(`fatal: the thread is in the wrong ${what}: ${errorText(error)}`);
    exitImmediately(EX_OSERR);
  }
}
