/** Selects the accounting script. */
import { existsSync, lstatSync } from "node:fs";
import { dirname, join } from "node:path";
import { readRegularFile } from "@cm4all/command/regular-file";
import { errorText, isErrno } from "@cm4all/linux";

export interface SelectedScript {
  path: string;
  /** Set if there are, or may be, two scripts, of which only one is used. */
  warning?: string;
}

/**
 * The name that the original daemon has used since 0.14, and the one that it used before. Its
 * package did not rename administrators' scripts: on many machines, there is an accounting.lua that
 * the original daemon no longer reads.
 */
const NEW_NAME = "reaper.lua";
const OLD_NAME = "accounting.lua";

/** The greatest size of a script, in bytes. */
const MAX_SCRIPT = 16 * 1024 * 1024;

/**
 * Finds the script to use: `reaper.lua`, or `accounting.lua` if that exists and `reaper.lua` is
 * missing or does nothing, like the one in the original package.
 * @param directory `/etc/cm4all/spawn`
 * @param packaged the path of the packaged script, for machines that have neither script
 * @throws Error if a script that may have to be used exists but cannot be read: if it were taken to
 * be missing, nothing would be accounted
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

/** Returns true if a script contains nothing but comments and an empty handler. */
function doesNothing(script: Buffer): boolean {
  // An unclosed long comment is a mistake, so it is not removed. It matches up to the end of the
  // script, so that its end is searched for only once.
  const code = script
    .toString("latin1")
    .replace(/--\[(=*)\[[\s\S]*?(?:\]\1\]|($))|--.*/g, (_, _level, end) =>
      end === undefined ? " " : "--[[",
    )
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

/** Returns true if no file has this path; a dangling link, even as a parent, counts as a file. */
function isAbsent(path: string): boolean {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return false;
  const parent = dirname(path);
  return existsSync(parent) || isAbsent(parent);
}
