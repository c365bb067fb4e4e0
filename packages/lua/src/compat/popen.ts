/**
 * io.popen with synchronous calls: a command that is read runs to its end when it is opened,
 * one that is written to runs when the file is closed.
 */
import { randomBytes } from "node:crypto";
import { closeSync, openSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { LuaFile } from "./file.ts";
import { runShell } from "./shell.ts";

/**
 * Opens a command.
 * @throws the error of the system if the shell cannot be started or there is no temporary file
 */
export function popen(command: string, mode: "r" | "w"): LuaFile {
  const fd = openUnlinked();
  if (mode === "w") return new LuaFile(fd, { beforeClose: (file) => feed(command, file) });
  runShell(command, { stdin: "null", stdout: fd });
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

/** Opens a file without a name, so that no output is too large for memory. */
function openUnlinked(): number {
  const name = `${tmpdir()}/lua-popen-${randomBytes(8).toString("hex")}`;
  const fd = openSync(name, "wx+", 0o600);
  unlinkSync(name);
  return fd;
}
