/** Looks at processes that may end at any moment. */
import { readdirSync, readFileSync } from "node:fs";

const isEnd = (error: unknown): boolean =>
  error instanceof Error && "code" in error && ["ENOENT", "ESRCH"].includes(String(error.code));

/** Returns the text of a file of a process in /proc; empty if the process has ended. */
export function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch (error) {
    if (isEnd(error)) return "";
    throw error;
  }
}

/** Returns the words of a process's command line; none if it has ended. */
export function commandLine(pid: number): string[] {
  return readProc(pid, "cmdline").split("\0").slice(0, -1);
}

/** Returns the children of a process, which any of its threads may have started. */
export function childPids(pid: number): number[] {
  let tasks: string[];
  try {
    tasks = readdirSync(`/proc/${pid}/task`);
  } catch (error) {
    if (isEnd(error)) return [];
    throw error;
  }
  return tasks.flatMap((task) =>
    readProc(pid, `task/${task}/children`).split(" ").filter(Boolean).map(Number),
  );
}

/** Returns whether a process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  return /^State:\t[^Z]/m.test(readProc(pid, "status"));
}
