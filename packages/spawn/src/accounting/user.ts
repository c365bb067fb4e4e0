/** System users. @see passwd(5) */
import { readFileSync } from "node:fs";
import { isErrno } from "@cm4all/linux";

/** The script's user unless the configuration names another; the package makes it. */
export const DEFAULT_USER = "cm4all-spawn-reaper";

export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** Gives the user of this name, or undefined if there is none. */
export type FindUser = (name: string) => SystemUser | undefined;

/** The greatest id; the one above means "no change" to the kernel. */
const MAX_ID = 0xfffffffe;

/**
 * Finds the line of `name` in the text of /etc/passwd. Pure.
 * @throws Error if its ids are no numbers, which must not become 0
 */
export function parseUser(passwd: string, name: string): SystemUser | undefined {
  for (const line of passwd.split("\n")) {
    const [user, , uid, gid, , home] = line.split(":");
    if (user === name && home !== undefined)
      return { name, uid: parseId(uid, line), gid: parseId(gid, line), home };
  }
  return undefined;
}

function parseId(text: string | undefined, line: string): number {
  const id = text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (id <= MAX_ID) return id;
  throw new Error(`/etc/passwd: not a uid and a gid: ${JSON.stringify(line)}`);
}

/** Looks into /etc/passwd, because packages make system users there. @throws Error */
export function findUser(name: string): SystemUser | undefined {
  let passwd: string;
  try {
    passwd = readFileSync("/etc/passwd", "utf8");
  } catch (error) {
    // A root file system without any users.
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
  return parseUser(passwd, name);
}
