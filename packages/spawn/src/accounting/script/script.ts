/** The accounting script of the configuration, and how its host is started. */
import { type ScriptHostOptions, selectScript } from "@cm4all/lua";
import type { AccountingConfig } from "../../config/accounting.ts";
import { SCRIPT_HOST_COMMAND } from "../../roles.ts";
import { DEFAULT_USER, groupsOf } from "../terms/user.ts";

/** Does nothing, so that it need not be run. */
const PACKAGED_SCRIPT = "/usr/share/cm4all/spawn/accounting.lua";

const SCRIPT_DIRECTORY = "/etc/cm4all/spawn";

export interface ChosenScript {
  /** Undefined where there is no script but the packaged one. */
  readonly path: string | undefined;
  readonly warning?: string | undefined;
}

/** @throws Error if a script of the default names is there and cannot be read */
export function chooseScript(config: AccountingConfig): ChosenScript {
  if (config.script !== undefined) return { path: config.script };
  const { path, warning } = selectScript(SCRIPT_DIRECTORY, PACKAGED_SCRIPT);
  return { path: path === PACKAGED_SCRIPT ? undefined : path, warning };
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** A warning, if the script gets all that the daemon may do. */
export function userWarning({ user }: AccountingConfig): string | undefined {
  if (user !== undefined || !isRoot()) return undefined;
  return `there is no user ${DEFAULT_USER}, and accounting.user names no other: the script runs as root, with all privileges of the daemon`;
}

/** Returns why a script cannot be used, with the user whom a file's mode keeps from reading it. */
export function explainUnusable(message: string, { user }: Pick<AccountingConfig, "user">): string {
  if (user === undefined || !isRoot() || !/Permission denied|EACCES/.test(message)) return message;
  return `${message} (the script runs as the user ${user.name}, who has to be able to read it)`;
}

/** Returns with which user, limits and socket the host of a script is started. */
export function hostOptions(config: AccountingConfig, script: string): ScriptHostOptions {
  const user = isRoot() ? config.user : undefined;
  const { hostSocket } = config;
  return {
    script,
    ...(hostSocket === undefined
      ? {}
      : // Where nobody is named, the unit says who it is.
        { unit: { socket: hostSocket, uid: config.isUserNamed ? user?.uid : undefined } }),
    program: [__filename, SCRIPT_HOST_COMMAND],
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
          // What libpq and scripts find their files and their default role by.
          env: { ...process.env, HOME: user.home, USER: user.name, LOGNAME: user.name },
        }),
  };
}
