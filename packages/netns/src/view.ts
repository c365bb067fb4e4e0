/** A namespace as a command started by `ip netns exec` sees it. @see ip-netns(8) */
import { readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import {
  isErrno,
  MNT_DETACH,
  MS_BIND,
  MS_RDONLY,
  mount,
  umount,
  withNamespace,
  withNewMountNamespace,
} from "@cm4all/linux";
import type { NetworkNamespace } from "./namespace.ts";
import { etcDirectory } from "./paths.ts";

/**
 * Runs `work`, which must be synchronous, with the calling thread in the namespace and
 * in a mount namespace of its own, and comes back to the root directory of the old one.
 */
export function withView<T>(namespace: NetworkNamespace, name: string, work: () => T): T {
  return withNewMountNamespace(() =>
    withNamespace(namespace.fd.number, "net", () => {
      mountSys(name);
      bindEtc(name);
      return work();
    }),
  );
}

/** A sysfs shows the network namespace of whoever mounted it. */
function mountSys(name: string): void {
  try {
    umount("/sys", MNT_DETACH);
  } catch (error) {
    // EINVAL: it is no mount point; EBUSY: it is locked, in a container.
    if (!isErrno(error, "EINVAL", "EBUSY")) throw error;
  }
  try {
    mount({ source: name, target: "/sys", type: "sysfs" });
  } catch (error) {
    // In a container whose /sys is read-only no other may be mounted.
    if (!isErrno(error, "EPERM", "EBUSY")) throw error;
    mount({ source: name, target: "/sys", type: "sysfs", flags: MS_RDONLY });
  }
}

/** Files of the namespace take the place of those in /etc; one that cannot is told of. */
function bindEtc(name: string): void {
  const directory = etcDirectory(name);
  let entries: string[];
  try {
    entries = readdirSync(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return;
    throw error;
  }
  for (const entry of entries)
    try {
      mount({ source: join(directory, entry), target: join("/etc", entry), flags: MS_BIND });
    } catch (error) {
      // Not console: it could make the command's stderr non-blocking.
      writeSync(2, `${join(directory, entry)} cannot be seen as /etc/${entry}: ${error}\n`);
    }
}
