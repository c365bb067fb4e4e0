import { readFileSync } from "node:fs";
import { attempt, sh } from "./shell.ts";

export const SERVICE = "cm4all-spawn.service";
export const SOCKET = "cm4all-spawn.socket";
/** The socket for scripts: each connection starts a unit that runs the accounting script. */
export const SCRIPT_SOCKET = "cm4all-spawn-accounting.socket";

/** Returns a property of a unit, as `systemctl show` prints it. */
export function property(unit: string, name: string): string {
  return sh(`systemctl show -P ${name} ${unit}`);
}

/** Returns the major version of systemd. */
export function systemdVersion(): number {
  return Number(/^systemd (\d+)/.exec(sh("systemctl --version"))?.[1]);
}

/** Returns whether a unit is active. */
export function isActive(unit: string): boolean {
  return attempt(`systemctl is-active ${unit}`).status === 0;
}

/** Returns the pid of the daemon; 0 if it is not running. */
export function mainPid(): number {
  return Number(property(SERVICE, "MainPID"));
}

/** Returns the pids of the processes in a unit's cgroup. */
export function pidsOf(unit: string): number[] {
  const cgroup = property(unit, "ControlGroup");
  if (cgroup === "") return [];
  try {
    const text = readFileSync(`/sys/fs/cgroup${cgroup}/cgroup.procs`, "utf8");
    return text.split("\n").filter(Boolean).map(Number);
  } catch {
    return []; // The unit has stopped.
  }
}

/** Returns the active units that run the accounting script. */
export function scriptUnits(): string[] {
  const list = "systemctl list-units --no-legend --plain --state=active";
  return sh(`${list} 'cm4all-spawn-accounting@*.service'`)
    .split("\n")
    .flatMap((line) => line.split(" ").slice(0, 1))
    .filter(Boolean);
}

/**
 * Returns the pids of the inits of PID namespaces: the processes in the service's cgroup whose
 * command lines begin with `init`.
 */
export function initPids(): number[] {
  return pidsOf(SERVICE).filter((pid) => commandLine(pid).startsWith("init "));
}

/** Returns the command line of a process, with spaces between its words; empty if it has ended. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
  } catch {
    return ""; // It has ended.
  }
}

/** Returns a unit's lines in the journal after the cursor `since`; without a cursor, all. */
export function journal(unit: string, since?: string): string {
  return entries(`-u '${unit}'`, since);
}

/** Returns what the daemon and the script have logged after the cursor `since`; without it, all. */
export function said(since?: string): string {
  return entries("-t cm4all-spawn", since);
}

function entries(which: string, since?: string): string {
  return sh(`journalctl ${which} -o cat --no-pager ${since ? `--after-cursor='${since}'` : ""}`);
}

/** Returns the cursor of the latest entry in the journal. @throws Error if there is none */
export function journalCursor(): string {
  const cursor = /^-- cursor: (.*)$/m.exec(sh("journalctl -n 0 --show-cursor"))?.[1];
  if (cursor === undefined) throw new Error("the journal gives no cursor");
  return cursor;
}
