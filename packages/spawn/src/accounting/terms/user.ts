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

function parseId(text: string | undefined, line: string, file = "/etc/passwd"): number {
  const id = text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (id <= MAX_ID) return id;
  throw new Error(`${file}: not a uid and a gid: ${JSON.stringify(line)}`);
}

/** Looks into /etc/passwd, because packages make system users there. @throws Error */
export function findUser(name: string): SystemUser | undefined {
  // A root file system may be without any users.
  return parseUser(readText("/etc/passwd"), name);
}

/**
 * Finds the gid of a group in the text of /etc/group. Pure.
 * @throws Error if it is no number
 */
export function parseGroup(text: string, name: string): number | undefined {
  for (const line of text.split("\n")) {
    const [group, , gid] = line.split(":");
    if (group === name && gid !== undefined) return parseId(gid, line, "/etc/group");
  }
  return undefined;
}

/** Looks into /etc/group. @throws Error */
export function findGroup(name: string): number | undefined {
  return parseGroup(readText("/etc/group"), name);
}

/**
 * Finds the groups that have a user for a member, in the text of /etc/group. Pure.
 * @throws Error if the id of one is no number
 * @see group(5)
 */
export function parseGroups(text: string, user: string): number[] {
  return text.split("\n").flatMap((line) => {
    const [, , gid, members] = line.split(":");
    return members?.split(",").includes(user) === true ? [parseId(gid, line, "/etc/group")] : [];
  });
}

/**
 * The supplementary groups of the script's user: those of /etc/group, and those that
 * `SupplementaryGroups=` of the unit gives the daemon. Never root's group, which the daemon
 * has for itself.
 */
export function groupsOf(user: string): number[] {
  const unit = isService(process.env) ? (process.getgroups?.() ?? []) : [];
  return [...new Set([...parseGroups(readText("/etc/group"), user), ...unit])].filter(
    (gid) => gid !== 0,
  );
}

/** Returns whether systemd has executed this very process: a shell's groups are its user's. */
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
