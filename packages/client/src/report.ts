/** What `cm4all-spawn-client request` prints. Pure. */
import type { HandleType } from "./types.ts";

/** Inodes, by type. */
export type Inodes = Readonly<Partial<Record<HandleType, number>>>;

/** One line for each type: the type and the inode. */
export function formatText(inodes: Inodes): string {
  return Object.entries(inodes)
    .map(([type, inode]) => `${type.padEnd(5)} ${inode}\n`)
    .join("");
}

/** One line of JSON. */
export function formatJson(name: string, inodes: Inodes): string {
  return `${JSON.stringify({ name, ...inodes })}\n`;
}
