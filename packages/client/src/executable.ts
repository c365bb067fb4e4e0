import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "@cm4all/linux";

/** What execvp(3) searches where there is no PATH. */
const DEFAULT_PATH = "/bin:/usr/bin";

export type Finding = "found" | "not found" | "not executable";

/**
 * Whether a command can be executed, with the answers of a shell. Asked beforehand, so
 * that a mistyped command is a message of ours, and no namespace is made for it.
 */
export function findExecutable(
  command: string,
  path: string = process.env["PATH"] ?? DEFAULT_PATH,
): Finding {
  if (command === "") return "not found";
  if (command.includes("/")) return probe(command);
  const findings = path
    .split(":")
    .map((directory) => join(directory || ".", command))
    // Directories, and files in directories that are closed to us, are no candidates.
    .filter((candidate) => isFile(candidate))
    .map(probe);
  if (findings.includes("found")) return "found";
  return findings[0] ?? "not found";
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function probe(path: string): Finding {
  try {
    accessSync(path, constants.X_OK);
    return isFile(path) ? "found" : "not executable";
  } catch (error) {
    return isErrno(error, "ENOENT", "ENOTDIR") ? "not found" : "not executable";
  }
}
