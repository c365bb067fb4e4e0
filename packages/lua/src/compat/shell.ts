/** Runs shell commands for scripts. */
import { type ExitReason, P_PID, reap, type SpawnOptions, spawn } from "@cm4all/linux";

interface Streams {
  stdin: SpawnOptions["stdio"][number];
  stdout: SpawnOptions["stdio"][number];
}

/** Returns a string as C sees it: up to the first NUL. */
export function cText(text: string): string {
  return text.split("\0", 1)[0] ?? "";
}

/**
 * Runs `sh -c` to its end, with our environment. Neither the environment nor the command passes
 * through Node, which would take both for UTF-8.
 * @param command a binary string
 * @throws SyscallError if the shell cannot be started
 */
export function runShell(command: string, { stdin, stdout }: Streams): ExitReason {
  const argv = ["sh", "-c", Buffer.from(cText(command), "latin1")];
  const pid = spawn({ path: "/bin/sh", argv, stdio: [stdin, stdout, 2] });
  const reason = reap(P_PID, pid);
  if (reason === undefined) throw new Error("something else has already waited for the shell");
  return reason;
}
