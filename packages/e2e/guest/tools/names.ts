/** Requests single names, and runs processes in their namespaces. */
import { spawn } from "node:child_process";
import { log, sh, waitFor } from "./shell.ts";
import { initPids } from "./systemd.ts";

/** Returns the inodes of a name's IPC and PID namespaces, which are made if they do not exist. */
export function inodesOf(name: string): { readonly ipc: number; readonly pid: number } {
  const json = sh(`cm4all-spawn-client --timeout 120 request ${name} --ipc --pid --json`);
  return JSON.parse(json) as { ipc: number; pid: number };
}

/** Runs `sleep` in the namespaces of `name`. */
export async function startBusy(name: string, slowness: number) {
  const marker = `${1_000_000 + Math.floor(Math.random() * 1_000_000)}`;
  const args = ["--timeout", "120", "run", name, "--ipc", "--pid", "--", "sleep", marker];
  const child = spawn("cm4all-spawn-client", args, { stdio: "ignore" });
  const isRunning = () => sh(`pgrep -xf 'sleep ${marker}' || true`) !== "";
  await waitFor(`something runs in ${name}`, 20_000 * slowness, isRunning);
  log(`sleep ${marker} runs in ${name}`);
  return { isRunning, end: () => child.kill("SIGTERM") };
}

/** Ends the namespaces of all names, and the processes in them. */
export async function endAllNames(slowness: number): Promise<void> {
  sh("cm4all-spawn purge-namespaces --all");
  await waitFor("all inits have ended", 60_000 * slowness, () => initPids().length === 0);
}
