import { unlinkSync } from "node:fs";
import { isErrno } from "@cm4all/linux";

/**
 * Removes a file or a symbolic link, if it exists. Unlike rmSync, this loads no further parts of
 * Node.
 */
export function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
