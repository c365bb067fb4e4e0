/** Reads the mounts of this process. @see proc_pid_mountinfo(5) */
import { readFileSync } from "node:fs";
import { type ByteString, bytesOfLatin1 } from "./byte-string.ts";

export interface MountedFileSystem {
  /** The mounted directory, as a path in its file system; `/` if that is mounted as a whole. */
  readonly root: ByteString;
  readonly mountPoint: ByteString;
  readonly fileSystem: string;
}

/** Decodes the kernel's escapes, such as `\040` for a space and `\134` for a backslash. */
function undoEscapes(field: string): ByteString {
  return bytesOfLatin1(
    field.replace(/\\([0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    ),
  );
}

/**
 * Parses `/proc/PID/mountinfo`; skips a line in an unknown format. Pure.
 * @param text the file's text, one character for each byte
 */
export function parseMountinfo(text: string): MountedFileSystem[] {
  const mounts: MountedFileSystem[] = [];
  for (const line of text.split("\n")) {
    // ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [OPTIONAL...] - TYPE SOURCE SUPEROPTIONS
    const [front = "", back = ""] = line.split(" - ");
    const [, , , root, mountPoint] = front.split(" ");
    const [fileSystem] = back.split(" ");
    if (root === undefined || mountPoint === undefined || !fileSystem) continue;
    mounts.push({ root: undoEscapes(root), mountPoint: undoEscapes(mountPoint), fileSystem });
  }
  return mounts;
}

/** Returns the mounts that this process sees. @throws system errors, for example without /proc */
export function readMountinfo(): MountedFileSystem[] {
  return parseMountinfo(readFileSync("/proc/self/mountinfo", "latin1"));
}
