/** Reads and changes the namespaces' store from outside the daemon. */
import { openSync } from "node:fs";
import { CLONE_FS, Fd, unshare, withNamespace } from "@cm4all/linux";
import { storeThread, type TestDaemon } from "./daemon.ts";

/**
 * Runs `work`, a synchronous function, in a mount namespace.
 * @param fd a descriptor of the mount namespace, which the caller still owns
 */
export function insideMountNamespace(fd: number, work: () => void): void {
  const directory = process.cwd();
  unshare(CLONE_FS);
  withNamespace(fd, "mnt", work);
  process.chdir(directory);
}

/** Runs `work` in the mount namespace of a running daemon's store. */
export function insideStore(daemon: TestDaemon, work: () => void): void {
  using store = new Fd(openSync(`${storeThread(daemon)}/ns/mnt`, "r"));
  insideMountNamespace(store.number, work);
}
