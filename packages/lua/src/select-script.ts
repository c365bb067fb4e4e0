/** Which script is the accounting script. */
import { existsSync, lstatSync } from "node:fs";
import { dirname, join } from "node:path";
import { readRegularFile } from "@cm4all/command/regular-file";
import { errorText, isErrno } from "@cm4all/linux";

export interface SelectedScript {
  path: string;
  /** Two scripts are there, or may be, and only one of them is used. */
  warning?: string;
}

/**
 * The original's since 0.14, and before. Its package has moved no script from one name to the
 * other, so that a dead accounting.lua lies on many of its hosts.
 */
const NEW_NAME = "reaper.lua";
const OLD_NAME = "accounting.lua";

/** Of a script, only to see whether it is there and can be read. */
const MAX_SCRIPT = 16 * 1024 * 1024;

/**
 * Finds the script that counts: `reaper.lua`, unless it is the one of the original's package,
 * which does nothing; then `accounting.lua`, if it is there.
 * @param directory `/etc/cm4all/spawn`
 * @param packaged the script that does nothing, for hosts without one of their own
 * @throws the error of open(2) where a script is there but cannot be read: that is not
 * the same as no script, with which nothing would be accounted
 */
export function selectScript(directory: string, packaged: string): SelectedScript {
  const [newer, older] = [join(directory, NEW_NAME), join(directory, OLD_NAME)];
  const text = tryRead(newer);
  if (text === undefined || doesNothing(text)) {
    if (tryRead(older) !== undefined) return { path: older };
    return { path: text === undefined ? packaged : newer };
  }
  try {
    const other = tryRead(older);
    if (other === undefined || other.equals(text) || doesNothing(other)) return { path: newer };
    return { path: newer, warning: `${newer} is used; ${older} differs and is not` };
  } catch (error) {
    const reason = errorText(error);
    return { path: newer, warning: `${newer} is used; ${older} is not: ${reason}` };
  }
}

/** Returns whether a script is nothing but comments and an empty handler. */
function doesNothing(script: Buffer): boolean {
  const code = script
    .toString("latin1")
    .replace(/--\[(=*)\[[\s\S]*?\]\1\]|--.*/g, " ")
    .replace(/\s+/g, " ")
    .trim();
  return /^function cgroup_released ?\( ?\w* ?\) end;?$/.test(code);
}

function tryRead(path: string): Buffer | undefined {
  try {
    return readRegularFile(path, MAX_SCRIPT);
  } catch (error) {
    if (isErrno(error, "ENOENT") && isAbsent(path)) return undefined;
    throw error;
  }
}

/** Returns whether nothing has this name; a link that leads nowhere, also on the way, is something. */
function isAbsent(path: string): boolean {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return false;
  const parent = dirname(path);
  return existsSync(parent) || isAbsent(parent);
}
