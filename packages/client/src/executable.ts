/** The file of a command; paths are bytes. */
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

/** What execvp(3) searches where there is no PATH. */
const DEFAULT_PATH = bytesOfText("/bin:/usr/bin");

/** Its path, or why there is none. */
export type Finding = Buffer | "not found" | "not executable";

/**
 * Finds the file that a command is, with the answers of a shell. Asked beforehand, so that a
 * mistyped command is a message of ours, and no namespace is made for it.
 * @param path as PATH has it
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
    // Directories, and files in directories that are closed to us, are no candidates.
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
