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
 * Removes what exists of the file, the link and the link's directories, unless these contain other
 * files. After an `up` or `down` that failed or was interrupted, only some of them exist.
 */
export function removeResolvConf(name: string): void {
  unlinkIfThere(generatedResolvConf(name));
  if (resolvConfOwner(name) === "us") unlinkSync(etcResolvConf(name));
  for (const directory of [etcDirectory(name), NETNS_ETC_DIRECTORY])
    try {
      rmdirSync(directory);
    } catch (error) {
      if (isErrno(error, "ENOENT")) continue;
      // EROFS: we have not made the directory, because the file system is read-only.
      if (isErrno(error, "ENOTEMPTY", "EROFS", "EBUSY")) return;
      throw error;
    }
}
