/**
 * The resolv.conf that a description asks for: a file below /run, and a link to it in the
 * directory in which ip-netns(8) and we look for files that replace those in /etc.
 */
import {
  chmodSync,
  mkdirSync,
  readlinkSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { isErrno } from "@cm4all/linux";
import { unlinkIfThere } from "./files.ts";
import { etcDirectory, etcResolvConf, generatedResolvConf, NETNS_ETC_DIRECTORY } from "./paths.ts";

/** Returns who has made the namespace's resolv.conf in /etc/netns; undefined if there is none. */
export function resolvConfOwner(name: string): "us" | "somebody else" | undefined {
  try {
    const target = readlinkSync(etcResolvConf(name));
    return target === generatedResolvConf(name) ? "us" : "somebody else";
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    // EINVAL: it is not a link.
    if (isErrno(error, "EINVAL")) return "somebody else";
    throw error;
  }
}

/** Writes the file and makes the link. @throws EEXIST if there is somebody else's file */
export function writeResolvConf(name: string, text: string): void {
  writeFileSync(generatedResolvConf(name), text);
  // Everybody may read it, whatever the umask is.
  chmodSync(generatedResolvConf(name), 0o644);
  mkdirSync(etcDirectory(name), { recursive: true, mode: 0o755 });
  // After a power failure the link may be left without the file that it points to.
  if (resolvConfOwner(name) === "us") return;
  symlinkSync(generatedResolvConf(name), etcResolvConf(name));
}

/**
 * Removes the file and the link, and their directories if these are empty: an attempt that has
 * failed or was interrupted may have left them.
 */
export function removeResolvConf(name: string): void {
  unlinkIfThere(generatedResolvConf(name));
  if (resolvConfOwner(name) === "us") unlinkSync(etcResolvConf(name));
  for (const directory of [etcDirectory(name), NETNS_ETC_DIRECTORY])
    try {
      rmdirSync(directory);
    } catch (error) {
      if (isErrno(error, "ENOENT")) continue;
      // EROFS: the directory is not ours.
      if (isErrno(error, "ENOTEMPTY", "EROFS", "EBUSY")) return;
      throw error;
    }
}
