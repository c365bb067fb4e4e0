import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "@cm4all/linux";

/** What execvp(3) searches where there is no PATH. */
const DEFAULT_PATH = "/bin:/usr/bin";

/**
 * Whether execvp(3) would find the program and may execute it. Asked beforehand, so
 * that a mistyped command is a message of ours, and no namespace is made for it.
 */
export function findExecutable(
  command: string,
  path: string = process.env["PATH"] ?? DEFAULT_PATH,
): "found" | "not found" | "not executable" {
  const candidates = command.includes("/")
    ? [command]
    : path.split(":").map((directory) => join(directory || ".", command));
  const found = command === "" ? [] : candidates.map(probe);
  if (found.includes("found")) return "found";
  return found.includes("not executable") ? "not executable" : "not found";
}

function probe(path: string): "found" | "not found" | "not executable" {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile() ? "found" : "not executable";
  } catch (error) {
    return isErrno(error, "ENOENT", "ENOTDIR") ? "not found" : "not executable";
  }
}
