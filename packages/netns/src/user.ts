/** The user that runs a command in a namespace. */
import { spawnSync } from "node:child_process";
import { CommandFailure, EX_OSERR, EX_USAGE } from "@cm4all/command";
import { setGid, setGroups, setUid } from "@cm4all/linux";

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** The ids of all groups of the user. */
  readonly groups: readonly number[];
  readonly home: string;
  readonly shell: string;
}

/** Parses a line of passwd(5); returns undefined for any other text. Pure. */
export function parsePasswd(line: string): Omit<User, "groups"> | undefined {
  const [name = "", , uid = "", gid = "", , home = "", shell = ""] = line.trim().split(":");
  if (name === "" || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return undefined;
  return { name, uid: Number(uid), gid: Number(gid), home, shell };
}

/** Looks a user up. @param name the name or uid @throws CommandFailure if there is no such user */
export function findUser(name: string): User {
  const { stdout } = spawnSync("getent", ["passwd", "--", name], { encoding: "utf8" });
  const user = parsePasswd(stdout ?? "");
  if (user === undefined) throw new CommandFailure(`there is no user ${name}`, EX_USAGE);
  const ids = spawnSync("id", ["-G", "--", user.name], { encoding: "utf8" });
  if (ids.status !== 0) throw new CommandFailure(`id ${name}: ${ids.stderr.trim()}`, EX_OSERR);
  return { ...user, groups: ids.stdout.trim().split(" ").map(Number) };
}

/**
 * Returns the user who called sudo(8), from the environment.
 * @throws CommandFailure if we were not called through sudo, or if root called sudo
 */
export function findSudoUser(): User {
  const uid = process.env["SUDO_UID"];
  if (uid === undefined || !/^[1-9]\d*$/.test(uid))
    throw new CommandFailure(
      "--sudo-user is for commands that a user other than root starts with sudo",
      EX_USAGE,
    );
  return findUser(uid);
}

/** Changes to the user, irrevocably, and sets the environment variables of a login. */
export function becomeUser({ name, uid, gid, groups, home, shell }: User): void {
  setGroups(groups);
  setGid(gid);
  setUid(uid);
  Object.assign(process.env, { HOME: home, USER: name, LOGNAME: name, SHELL: shell });
  for (const key of Object.keys(process.env)) if (key.startsWith("SUDO_")) delete process.env[key];
}
