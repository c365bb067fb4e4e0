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

/** The time limit for a process to stop, in milliseconds. */
const STOP_MS = 30_000;

/**
 * Stops a process by SIGSTOP, and returns when all its threads have stopped; the caller continues
 * it by SIGCONT. The kernel gives the signal to one thread, and the others run on until that one
 * has been scheduled, which may take a while on a busy machine.
 * @throws Error if the process does not stop
 */
export function stopProcess(pid: number | undefined): void {
  if (pid === undefined || pid <= 1) throw new Error(`not the pid of a child: ${pid}`);
  process.kill(pid, "SIGSTOP");
  const tasks = () => readdirSync(`/proc/${pid}/task`);
  const hasStopped = (task: string) => /^State:\t[TZX]/m.test(readProc(pid, `task/${task}/status`));
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const untilMs = performance.now() + STOP_MS;
  while (!tasks().every(hasStopped)) {
    if (performance.now() > untilMs) throw new Error(`process ${pid} does not stop`);
    Atomics.wait(pause, 0, 0, 1);
  }
}

/** Returns whether a process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  return /^State:\t[^Z]/m.test(readProc(pid, "status"));
}
