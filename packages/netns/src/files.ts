import { unlinkSync } from "node:fs";
import { isErrno } from "@cm4all/linux";

/** Removes a file or a link, if it is there. Unlike rmSync it costs no loading of more of Node. */
export function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
