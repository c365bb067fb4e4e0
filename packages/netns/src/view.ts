/** Gives a command the same view of a namespace as `ip netns exec` does. @see ip-netns(8) */
import { cpSync, existsSync, openSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import {
  Fd,
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
 * Runs `work`, which must be synchronous, with the calling thread in the namespace and in a mount
 * namespace of its own. Afterwards the thread is in its former namespaces, in the root directory.
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

/** Mounts a new sysfs, which shows the network namespace of the process that mounts it. */
function mountSys(name: string): void {
  try {
    umount("/sys", MNT_DETACH);
  } catch (error) {
    // /sys is not a mount point, or its mount is locked, as in a container. In both cases the error
    // is EINVAL; EBUSY is accepted as well.
    if (!isErrno(error, "EINVAL", "EBUSY")) throw error;
  }
  try {
    mount({ source: name, target: "/sys", type: "sysfs" });
  } catch (error) {
    // In a container whose /sys is read-only, only a read-only sysfs may be mounted.
    if (!isErrno(error, "EPERM", "EBUSY")) throw error;
    mount({ source: name, target: "/sys", type: "sysfs", flags: MS_RDONLY });
  }
}

/**
 * Bind-mounts the files of the namespace over those in /etc. A failure is reported, but not fatal.
 */
function bindEtc(name: string): void {
  const directory = etcDirectory(name);
  let entries: string[];
  try {
    entries = readdirSync(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return;
    throw error;
  }
  if (entries.some((entry) => !existsSync(join("/etc", entry)))) {
    layOver(directory);
    return;
  }
  for (const entry of entries)
    try {
      mount({ source: join(directory, entry), target: join("/etc", entry), flags: MS_BIND });
    } catch (error) {
      tell(`${join(directory, entry)} cannot be seen as /etc/${entry}: ${error}`);
    }
}

/**
 * Lays all files over /etc with one read-only overlay mount, because nothing can be bind-mounted
 * over a file that does not exist or over a dangling link, such as /etc/resolv.conf while the
 * host's resolver is down. The top layer is a copy, because overlayfs accepts no layer that lies
 * inside another.
 */
function layOver(directory: string): void {
  try {
    using original = new Fd(openSync(directory, "r"));
    mount({ source: "tmpfs", target: directory, type: "tmpfs", data: "mode=0755" });
    const files = `/proc/self/fd/${original.number}`;
    for (const entry of readdirSync(files))
      cpSync(join(files, entry), join(directory, entry), {
        recursive: true,
        verbatimSymlinks: true,
      });
    // The layer is named by its descriptor, because the name of a namespace may contain
    // characters that separate mount options.
    using upper = new Fd(openSync(directory, "r"));
    const data = `lowerdir=/proc/self/fd/${upper.number}:/etc`;
    mount({ source: "overlay", target: "/etc", type: "overlay", flags: MS_RDONLY, data });
  } catch (error) {
    tell(`the files of ${directory} cannot be seen in /etc: ${error}`);
  }
}

/** Writes to stderr; not through console, which could make the command's stderr non-blocking. */
function tell(line: string): void {
  writeSync(2, `${line}\n`);
}
