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

/** Ours, and the one of the newer original, where existing hosts have theirs. */
const NAMES = ["accounting.lua", "reaper.lua"] as const;

/** Of a script, only to see whether it is there and can be read. */
const MAX_SCRIPT = 16 * 1024 * 1024;

/**
 * @param directory `/etc/cm4all/spawn`
 * @param packaged the script that does nothing, for hosts without one of their own
 * @throws the error of open(2) where a script is there but cannot be read: that is not
 * the same as no script, with which nothing would be accounted
 */
export function selectScript(directory: string, packaged: string): SelectedScript {
  const [path, other] = [join(directory, NAMES[0]), join(directory, NAMES[1])];
  const first = tryRead(path);
  if (first === undefined) return { path: tryRead(other) === undefined ? packaged : other };
  try {
    const second = tryRead(other);
    if (second === undefined || second.equals(first)) return { path };
    return { path, warning: `${path} is used; ${other} differs and is not` };
  } catch (error) {
    const reason = errorText(error);
    return { path, warning: `${path} is used; ${other} is not: ${reason}` };
  }
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
