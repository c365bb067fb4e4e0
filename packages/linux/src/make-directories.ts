/** Makes a directory and its parent directories, as `mkdir -p` does. */
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { isErrno } from "./errors.ts";

/**
 * Makes a directory and those of its parent directories that are missing. Node's own `recursive`
 * option retries forever if the parent exists and mkdir(2) nevertheless fails with ENOENT, as in
 * /proc.
 * @param mode the mode of all directories that are made
 * @throws system errors, such as EEXIST if something other than a directory is there
 */
export async function makeDirectories(path: string, mode: number): Promise<void> {
  try {
    await makeUnlessThere(path, mode);
  } catch (error) {
    const parent = dirname(path);
    if (!isErrno(error, "ENOENT") || parent === path) throw error;
    await makeDirectories(parent, mode);
    await makeUnlessThere(path, mode);
  }
}

async function makeUnlessThere(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if (isErrno(error, "EEXIST") && (await stat(path)).isDirectory()) return;
    throw error;
  }
}
