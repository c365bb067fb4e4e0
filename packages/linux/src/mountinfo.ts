/** The mounts of this process. @see proc_pid_mountinfo(5) */
import { readFileSync } from "node:fs";

export interface MountedFileSystem {
  /** The part of the file system that is mounted: `/` is all of it. Bytes as latin1. */
  readonly root: string;
  /** Bytes as latin1. */
  readonly mountPoint: string;
  readonly fileSystem: string;
}

/** `\040` and its like: the kernel writes blanks and backslashes so. */
function undoEscapes(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** Parses `/proc/PID/mountinfo`; a line in no known form is left out. Pure. */
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

export function readMountinfo(): MountedFileSystem[] {
  return parseMountinfo(readFileSync("/proc/self/mountinfo", "latin1"));
}
