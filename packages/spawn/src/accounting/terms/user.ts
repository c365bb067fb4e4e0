/** Looks up system users and groups. @see passwd(5), group(5) */
import { readFileSync } from "node:fs";
import { isErrno } from "@cm4all/linux";

/** The user that the script runs as by default; the Debian package creates it. */
export const DEFAULT_USER = "cm4all-spawn-reaper";

export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** Returns the user with this name, or undefined if there is none. */
export type FindUser = (name: string) => SystemUser | undefined;

/** The greatest valid id: to the kernel, the next number means "no change". */
const MAX_ID = 0xfffffffe;

/**
 * Finds the user with this name in the text of /etc/passwd. Pure.
 * @throws Error if the ids are not valid numbers: they must not become 0, which is root
 */
export function parseUser(passwd: string, name: string): SystemUser | undefined {
  for (const line of passwd.split("\n")) {
    const [user, , uid, gid, , home] = line.split(":");
    if (user === name && home !== undefined)
      return { name, uid: parseId(uid, line), gid: parseId(gid, line), home };
  }
  return undefined;
}

function parseId(text: string | undefined, line: string, file = "/etc/passwd"): number {
  const id = text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (id <= MAX_ID) return id;
  throw new Error(`${file}: the uid or the gid is not valid: ${JSON.stringify(line)}`);
}

/**
 * Returns the user with this name in /etc/passwd, where packages create system users.
 * @throws Error as `parseUser` does; Node's system errors, but not ENOENT
 */
export function findUser(name: string): SystemUser | undefined {
  // A minimal root file system may have no such file; it then has no users.
  return parseUser(readText("/etc/passwd"), name);
}

/**
 * Finds the gid of a group in the text of /etc/group. Pure.
 * @throws Error if the gid is not a valid number
 */
export function parseGroup(text: string, name: string): number | undefined {
  for (const line of text.split("\n")) {
    const [group, , gid] = line.split(":");
    if (group === name && gid !== undefined) return parseId(gid, line, "/etc/group");
  }
  return undefined;
}

/** Returns the gid of a group in /etc/group. @throws the same errors as `findUser` */
export function findGroup(name: string): number | undefined {
  return parseGroup(readText("/etc/group"), name);
}

/**
 * Finds, in the text of /etc/group, the groups that have the user as a member. Pure.
 * @throws Error if the gid of such a group is not a valid number
 * @see group(5)
 */
export function parseGroups(text: string, user: string): number[] {
  return text.split("\n").flatMap((line) => {
    const [, , gid, members] = line.split(":");
    return members?.split(",").includes(user) === true ? [parseId(gid, line, "/etc/group")] : [];
  });
}

/**
 * Returns the supplementary groups of the script's user: those in /etc/group, and those that
 * the unit gives to the daemon with `SupplementaryGroups=`. Root's group, which the daemon has
 * as its own, is left out.
 */
export function groupsOf(user: string): number[] {
  const unit = isService(process.env) ? (process.getgroups?.() ?? []) : [];
  return [...new Set([...parseGroups(readText("/etc/group"), user), ...unit])].filter(
    (gid) => gid !== 0,
  );
}

/**
 * Returns whether systemd has started this very process. If a shell has started it, its
 * groups are those of the user who typed the command, and not those of the unit.
 */
function isService(env: NodeJS.ProcessEnv): boolean {
  return env["SYSTEMD_EXEC_PID"] === String(process.pid);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return "";
    throw error;
  }
}
