/** Checks the requirements of the daemon. */
import { accessSync, constants, readFileSync } from "node:fs";
import { CommandFailure, EX_NOPERM, EX_UNAVAILABLE } from "@cm4all/command";
import { errorText, isErrno } from "@cm4all/linux";
import { CATATONIT } from "../namespaces/names/init.ts";
import { hasCapability, parseRights } from "../namespaces/requests/permission.ts";

/** Checks the requirements of the daemon. @throws CommandFailure that names what is missing */
export function checkRequirements(): void {
  if (process.geteuid?.() !== 0)
    throw new CommandFailure("must be started as root: it creates namespaces", EX_NOPERM);
  // In a container, root lacks the capability unless the container is configured to have it.
  if (!hasCapability(parseRights(readOwnStatus()), 0))
    throw new CommandFailure("needs CAP_SYS_ADMIN: it creates namespaces", EX_NOPERM);
  try {
    accessSync(CATATONIT, constants.X_OK);
  } catch (error) {
    const reason = errorText(error);
    throw new CommandFailure(
      `${CATATONIT} is missing; install the package catatonit (${reason})`,
      EX_UNAVAILABLE,
    );
  }
}

/**
 * Reads the status of this process.
 * @throws CommandFailure if /proc is missing: the daemon needs it for namespaces, figures and the
 *   store
 * @throws Error for other reasons, such as EMFILE
 */
function readOwnStatus(): string {
  try {
    return readFileSync("/proc/self/status", "latin1");
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    throw new CommandFailure(`/proc has to be mounted: ${errorText(error)}`, EX_UNAVAILABLE);
  }
}
