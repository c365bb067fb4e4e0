/** Which script is the accounting script. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "@cm4all/linux";

export interface SelectedScript {
  path: string;
  /** Two scripts are there, and only one of them is used. */
  warning?: string;
}

/** Ours, and the one of the newer original, where existing hosts have theirs. */
const NAMES = ["accounting.lua", "reaper.lua"] as const;

/**
 * @param directory `/etc/cm4all/spawn`
 * @param packaged the script that does nothing, for hosts without one of their own
 * @throws the error of open(2) where a script is there but cannot be read
 */
export function selectScript(directory: string, packaged: string): SelectedScript {
  const [first, second] = NAMES.map((name) => tryRead(join(directory, name)));
  if (first === undefined)
    return { path: second === undefined ? packaged : join(directory, NAMES[1]) };
  const path = join(directory, NAMES[0]);
  if (second === undefined || second.equals(first)) return { path };
  return { path, warning: `${path} is used; ${join(directory, NAMES[1])} differs and is not` };
}

function tryRead(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
