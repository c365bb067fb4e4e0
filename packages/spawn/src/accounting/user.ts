/** System users. @see passwd(5) */
import { readFileSync } from "node:fs";

export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** The line of `name` in the text of /etc/passwd. Pure. */
export function parseUser(passwd: string, name: string): SystemUser | undefined {
  for (const line of passwd.split("\n")) {
    const [user, , uid, gid, , home] = line.split(":");
    if (user === name && home !== undefined)
      return { name, uid: Number(uid), gid: Number(gid), home };
  }
  return undefined;
}

/** A system user is a local one: packages make it in /etc/passwd. */
export function tryFindUser(name: string): SystemUser | undefined {
  return parseUser(readFileSync("/etc/passwd", "utf8"), name);
}
