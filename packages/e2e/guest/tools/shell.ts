/** Runs commands as an administrator types them. Each is written to the case's log. */
import { spawnSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

let logFile = "/dev/null";
let limitMs = 120_000;

/** Sets the file for the log. */
export function logTo(file: string): void {
  logFile = file;
}

/**
 * Sets the time limit for each command. A command that exceeds the limit is killed, so that at most
 * its own case fails, and the other cases run.
 */
export function limitCommands(slowness: number): void {
  limitMs = 120_000 * slowness;
}

/** Writes a line to the log. */
export function log(text: string): void {
  appendFileSync(logFile, `${text}\n`);
}

export interface Result {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line, which reads `input`. A status other than 0 is not an error. */
export function attempt(command: string, input = ""): Result {
  log(`$ ${command}`);
  const startMs = performance.now();
  const done = spawnSync("bash", ["-c", command], {
    encoding: "utf8",
    input,
    maxBuffer: 1 << 28,
    timeout: limitMs,
    killSignal: "SIGKILL",
    env: { ...process.env, LC_ALL: "C.UTF-8", DEBIAN_FRONTEND: "noninteractive" },
  });
  const { stdout } = done;
  const hangs = done.signal === "SIGKILL" && performance.now() - startMs >= limitMs;
  const stderr = hangs ? `${done.stderr}did not end within ${limitMs / 1000} s` : done.stderr;
  const status = done.status ?? 128;
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  log(`${stdout.slice(0, 100_000)}${stderr.slice(0, 100_000)}[${status}, ${seconds} s]`);
  return { status, stdout, stderr };
}

/** Runs a command line and returns its output. @throws Error if the status is not 0 */
export function sh(command: string): string {
  const { status, stdout, stderr } = attempt(command);
  if (status !== 0) throw new Error(`${command}: status ${status}: ${lastLine(stderr || stdout)}`);
  return stdout.trimEnd();
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}

/** Waits until `look` returns something other than undefined or false. */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  look: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > endMs) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(100);
  }
}
