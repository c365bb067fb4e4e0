/** Runs the set-up script of a namespace. */
import { accessSync, constants, statSync } from "node:fs";
import { constants as os } from "node:os";
import { CommandFailure, EX_CONFIG } from "@cm4all/command";
import {
  childExit,
  type ExitReason,
  isErrno,
  type SpawnOptions,
  spawnOrShell,
} from "@cm4all/linux";
import { EXIT_SCRIPT, EXIT_TIMEOUT } from "./failures.ts";
import { interpreterProblem } from "./interpreter.ts";
import type { Interruption } from "./interruption.ts";

/** How long a script may take to end after SIGTERM. */
const END_GRACE_MS = 5000;

/**
 * Returns the script's path; undefined if there is none.
 * @throws CommandFailure if it cannot or must not be run
 */
export function findScript(path: string): string | undefined {
  let stat: ReturnType<typeof statSync>;
  try {
    stat = statSync(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
  if (!stat.isFile()) throw new CommandFailure(`${path}: not a regular file`, EX_CONFIG);
  if ((stat.mode & 0o002) !== 0)
    throw new CommandFailure(`${path}: writable by others; chmod o-w helps`, EX_CONFIG);
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw new CommandFailure(`${path}: not executable; chmod +x helps`, EX_CONFIG);
  }
  const problem = interpreterProblem(path);
  if (problem !== undefined) throw new CommandFailure(`${path}: ${problem}`, EX_CONFIG);
  return path;
}

/**
 * Starts the script in a session of its own; a file without `#!` is run by the shell. Returns its
 * pid.
 */
export function startScript(options: Omit<SpawnOptions, "newSession" | "stdio">): number {
  return spawnOrShell({ ...options, newSession: true, stdio: ["null", 1, 2] });
}

export interface ScriptLimits {
  /** How long the script may run; 0 for no limit. */
  readonly timeoutMs: number;
  readonly interruption: Interruption;
}

/**
 * Starts the script, and waits until it has ended.
 * @param start starts the script, and returns its pid, which is also the id of its process group
 * @throws CommandFailure if the script fails or takes too long, or if a signal asks this program to
 * end; by then the whole process group has been killed
 */
export async function runScript(
  path: string,
  start: () => number,
  { timeoutMs, interruption }: ScriptLimits,
): Promise<void> {
  let pid: number | undefined;
  let failure: CommandFailure | undefined;
  const timers: NodeJS.Timeout[] = [];
  const end = (reason: CommandFailure) => {
    if (failure !== undefined || pid === undefined) return;
    failure = reason;
    const group = pid;
    signalGroup(group, "SIGTERM");
    timers.push(setTimeout(() => signalGroup(group, "SIGKILL"), END_GRACE_MS));
  };
  try {
    pid = start();
    interruption.notify(end);
    if (timeoutMs > 0) {
      const message = `${path} did not end within ${timeoutMs / 1000} s`;
      timers.push(setTimeout(() => end(new CommandFailure(message, EXIT_TIMEOUT)), timeoutMs));
    }
    const reason = await childExit(pid);
    failure ??= failureOf(path, reason);
    if (failure === undefined) return;
    signalGroup(pid, "SIGKILL");
    throw failure;
  } finally {
    interruption.notify(undefined);
    for (const timer of timers) clearTimeout(timer);
  }
}

function failureOf(path: string, reason: ExitReason): CommandFailure | undefined {
  if (reason.kind === "exited")
    return reason.status === 0
      ? undefined
      : new CommandFailure(`${path} exited with status ${reason.status}`, EXIT_SCRIPT);
  const name = Object.entries(os.signals).find(([, number]) => number === reason.signal)?.[0];
  const signal = name ?? `signal ${reason.signal}`;
  return new CommandFailure(`${path} was killed by ${signal}`, EXIT_SCRIPT);
}

/** Signals the group, which exists until its last process has ended. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
  }
}
