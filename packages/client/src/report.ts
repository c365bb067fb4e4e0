/** Formats the output of `cm4all-spawn-client request`. Pure. */
import type { HandleType } from "./types.ts";

/** Inodes, by type. */
export type Inodes = Readonly<Partial<Record<HandleType, number>>>;

/** Returns a line for each type, with the type and the inode. */
export function formatText(inodes: Inodes): string {
  return Object.entries(inodes)
    .map(([type, inode]) => `${type.padEnd(5)} ${inode}\n`)
    .join("");
}

/** Returns a line of JSON. */
export function formatJson(name: string, inodes: Inodes): string {
  return `${JSON.stringify({ name, ...inodes })}\n`;
}
