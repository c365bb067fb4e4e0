/** The store of namespaces, seen and changed from outside. */
import { openSync } from "node:fs";
import { CLONE_FS, Fd, unshare, withNamespace } from "@cm4all/linux";
import { storeThread, type TestDaemon } from "./daemon.ts";

/**
 * Runs `work`, which is synchronous, in the store's mount namespace.
 * @param fd of that; it stays its owner's
 */
export function insideMountNamespace(fd: number, work: () => void): void {
  const directory = process.cwd();
  unshare(CLONE_FS);
  withNamespace(fd, "mnt", work);
  process.chdir(directory);
}

/** The same for the store of a running daemon. */
export function insideStore(daemon: TestDaemon, work: () => void): void {
  using store = new Fd(openSync(`${storeThread(daemon)}/ns/mnt`, "r"));
  insideMountNamespace(store.number, work);
}
