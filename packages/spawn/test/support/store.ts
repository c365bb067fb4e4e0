/** Looks at the store of namespaces, and changes it, from outside. */
import { openSync } from "node:fs";
import { CLONE_FS, Fd, unshare, withNamespace } from "@cm4all/linux";
import { storeThread, type TestDaemon } from "./daemon.ts";

/**
 * Runs `work`, which is synchronous, in the store's mount namespace.
 * @param fd the mount namespace; the caller still owns it
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
