/**
 * io.popen on synchronous calls: the command runs to its end when it is opened for
 * reading, and when the file is closed if it is opened for writing.
 */
import { randomBytes } from "node:crypto";
import { closeSync, openSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { LuaFile } from "./file.ts";
import { runShell } from "./shell.ts";

/** @throws where the shell or a temporary file cannot be had */
export function popen(command: string, mode: "r" | "w"): LuaFile {
  const fd = openUnlinked();
  if (mode === "w") return new LuaFile(fd, { beforeClose: (file) => feed(command, file) });
  runShell(command, { stdin: "null", stdout: fd });
  return new LuaFile(fd);
}

/** Runs the command with the file's contents as its input. */
function feed(command: string, file: number): void {
  // A descriptor of its own stands at the beginning.
  const fd = openSync(`/proc/self/fd/${file}`, "r");
  try {
    runShell(command, { stdin: fd, stdout: 1 });
  } finally {
    closeSync(fd);
  }
}

/** A file without a name, so that no output is too large for memory. */
function openUnlinked(): number {
  const name = `${tmpdir()}/lua-popen-${randomBytes(8).toString("hex")}`;
  const fd = openSync(name, "wx+", 0o600);
  unlinkSync(name);
  return fd;
}
