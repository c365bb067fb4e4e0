/**
 * io.popen with synchronous calls: a command whose output is read runs to its end in `io.popen`;
 * a command that gets input runs when the file is closed.
 */
import { randomBytes } from "node:crypto";
import { closeSync, openSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { LuaFile } from "./file.ts";
import { runShell } from "./shell.ts";

/**
 * Returns a file with the output of a command (`r`), or a file for its input (`w`).
 * @throws system errors if the shell cannot be started or no temporary file can be made
 */
export function popen(command: string, mode: "r" | "w"): LuaFile {
  const fd = openUnlinked();
  if (mode === "w") return new LuaFile(fd, { beforeClose: (file) => feed(command, file) });
  try {
    runShell(command, { stdin: "null", stdout: fd });
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return new LuaFile(fd);
}

/** Runs the command with the file's contents as its input. */
function feed(command: string, file: number): void {
  // A new descriptor begins at position 0.
  const fd = openSync(`/proc/self/fd/${file}`, "r");
  try {
    runShell(command, { stdin: fd, stdout: 1 });
  } finally {
    closeSync(fd);
  }
}

/** Opens an unlinked temporary file: the data might not fit into memory. */
function openUnlinked(): number {
  const name = `${tmpdir()}/lua-popen-${randomBytes(8).toString("hex")}`;
  const fd = openSync(name, "wx+", 0o600);
  unlinkSync(name);
  return fd;
}
