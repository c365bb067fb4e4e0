import { lstatSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { isErrno } from "@cm4all/linux";

/** Removes a Unix socket that an earlier run has left and nobody listens on any more. */
export async function removeStaleSocket(path: string): Promise<void> {
  // To connect to anything else is refused, too.
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const isStale = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(false);
    });
    probe.once("error", (error) => resolve(isErrno(error, "ECONNREFUSED")));
  });
  if (isStale) unlinkSync(path);
}
