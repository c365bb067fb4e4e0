/** Finds the file of a command; paths are bytes. */
import { accessSync, constants, statSync } from "node:fs";
import {
  type ByteString,
  bufferOf,
  bytesOfLatin1,
  bytesOfText,
  environmentVariable,
  isErrno,
  latin1Of,
} from "@cm4all/linux";

/** The directories that execvp(3) searches if there is no PATH. */
const DEFAULT_PATH = bytesOfText("/bin:/usr/bin");

/** The path, or the reason why there is none. */
export type Finding = Buffer | "not found" | "not executable";

/**
 * Finds the file of a command, as a shell does. Call it before asking the daemon, so that a
 * mistyped command is reported with our own message, and no namespace is created for it.
 * @param path the value of PATH
 */
export function findExecutable(
  command: ByteString,
  path: ByteString = environmentVariable(bytesOfText("PATH")) ?? DEFAULT_PATH,
): Finding {
  const name = latin1Of(command);
  if (name === "") return "not found";
  if (name.includes("/")) return probe(bufferOf(command));
  const findings = latin1Of(path)
    .split(":")
    .map((directory) => bufferOf(bytesOfLatin1(`${directory || "."}/${name}`)))
    // Directories, and files in directories that we may not search, are not candidates.
    .filter((candidate) => isFile(candidate))
    .map(probe);
  return findings.find((finding) => Buffer.isBuffer(finding)) ?? findings[0] ?? "not found";
}

function isFile(path: Buffer): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function probe(path: Buffer): Finding {
  try {
    accessSync(path, constants.X_OK);
    return isFile(path) ? path : "not executable";
  } catch (error) {
    return isErrno(error, "ENOENT", "ENOTDIR") ? "not found" : "not executable";
  }
}
