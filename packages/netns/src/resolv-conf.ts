/**
 * The resolv.conf of a namespace that the description asks for: a file below /run, and
 * a link to it where ip-netns(8) and we look for files to put in the place of /etc's.
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

/** Who made what is at the link's place. */
export function resolvConfOwner(name: string): "us" | "somebody else" | undefined {
  try {
    const target = readlinkSync(etcResolvConf(name));
    return target === generatedResolvConf(name) ? "us" : "somebody else";
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    // EINVAL: it is no link.
    if (isErrno(error, "EINVAL")) return "somebody else";
    throw error;
  }
}

/** @throws EEXIST where somebody else's file is in the way */
export function writeResolvConf(name: string, text: string): void {
  writeFileSync(generatedResolvConf(name), text);
  // For everybody, whatever the umask is.
  chmodSync(generatedResolvConf(name), 0o644);
  mkdirSync(etcDirectory(name), { recursive: true, mode: 0o755 });
  // After a power cut it may be left without the file that it points to.
  if (resolvConfOwner(name) === "us") return;
  symlinkSync(generatedResolvConf(name), etcResolvConf(name));
}

/**
 * Also the directories, where nothing else is in them: a link that could not be made, or an
 * earlier attempt that was cut short, may have left them.
 */
export function removeResolvConf(name: string): void {
  unlinkIfThere(generatedResolvConf(name));
  if (resolvConfOwner(name) === "us") unlinkSync(etcResolvConf(name));
  for (const directory of [etcDirectory(name), NETNS_ETC_DIRECTORY])
    try {
      rmdirSync(directory);
    } catch (error) {
      if (isErrno(error, "ENOENT")) continue;
      // EROFS: it cannot have been us.
      if (isErrno(error, "ENOTEMPTY", "EROFS", "EBUSY")) return;
      throw error;
    }
}
