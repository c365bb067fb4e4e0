/** Chooses the accounting script, and the options with which its script host is started. */
import { dirname, join } from "node:path";
import { type ScriptHostOptions, selectScript } from "@cm4all/lua";
import type { AccountingConfig } from "../../config/accounting.ts";
import { DEFAULT_USER, groupsOf } from "../terms/user.ts";

/** The script of the package. It does nothing, so it is not run. */
const PACKAGED_SCRIPT = "/usr/share/cm4all/spawn/accounting.lua";

/** The script host's program, a file in the same directory as the daemon's program. */
const SCRIPT_HOST = "cm4all-spawn-script-host.js";

const SCRIPT_DIRECTORY = "/etc/cm4all/spawn";

export interface ChosenScript {
  /** Undefined if there is no script but the packaged one. */
  readonly path: string | undefined;
  readonly warning?: string | undefined;
}

/**
 * Chooses the script of the configuration, or else one with a default name.
 * @throws Error if there is a script with a default name that cannot be read
 */
export function chooseScript(config: AccountingConfig): ChosenScript {
  if (config.script !== undefined) return { path: config.script };
  const { path, warning } = selectScript(SCRIPT_DIRECTORY, PACKAGED_SCRIPT);
  return { path: path === PACKAGED_SCRIPT ? undefined : path, warning };
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** Returns a warning if the script would run with all privileges of the daemon. */
export function userWarning({ user }: AccountingConfig): string | undefined {
  if (user !== undefined || !isRoot()) return undefined;
  return `there is no user ${DEFAULT_USER}, and accounting.user names no other: the script runs as root, with all privileges of the daemon`;
}

/**
 * Returns why a script cannot be used. If the reason is a lack of permission, adds the user who has
 * to be able to read the script.
 */
export function explainUnusable(message: string, { user }: Pick<AccountingConfig, "user">): string {
  if (user === undefined || !isRoot() || !/Permission denied|EACCES/.test(message)) return message;
  return `${message} (the script runs as the user ${user.name}, who has to be able to read it)`;
}

/** Returns the options of the script host: user, limits and socket. */
export function hostOptions(config: AccountingConfig, script: string): ScriptHostOptions {
  const user = isRoot() ? config.user : undefined;
  const { hostSocket } = config;
  return {
    script,
    ...(hostSocket === undefined
      ? {}
      : // If the configuration names no user, the unit's user is used.
        { unit: { socket: hostSocket, uid: config.isUserNamed ? user?.uid : undefined } }),
    program: [join(dirname(__filename), SCRIPT_HOST)],
    instructions: config.instructions,
    handlerTimeoutMs: config.handlerTimeoutMs,
    answerTimeoutMs: config.answerTimeoutMs,
    maxRunning: config.policy.maxRunning,
    memoryMiB: config.memoryMiB,
    ...(user === undefined
      ? {}
      : {
          uid: user.uid,
          gid: user.gid,
          groups: groupsOf(user.name),
          // libpq and scripts use these variables to find their files and the default role.
          env: { ...process.env, HOME: user.home, USER: user.name, LOGNAME: user.name },
        }),
  };
}
