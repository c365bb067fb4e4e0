/** Stops a thread of a process, while its other threads continue. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { readProc } from "@cm4all/testing";

/**
 * A Perl program that stops one thread with ptrace(PTRACE_ATTACH) for as long as it runs. The
 * number of the system call is that of x86-64.
 */
const STOP_THREAD = `
  $| = 1;
  syscall(101, 16, $ARGV[0] + 0, 0, 0) == 0 or die "ptrace: $!";
  waitpid($ARGV[0], 0x40000000) > 0 or die "waitpid: $!";
  print "stopped\\n";
  1 while waitpid($ARGV[0], 0x40000000) > 0;
  sleep 3600;`;

/** True if threads cannot be stopped here, because STOP_THREAD is for x86-64. */
export const cannotStopThreads = process.arch !== "x64";

/** Returns the ID of the thread called `name` of a process. @throws Error if there is none */
export function threadOf(pid: number, name: string): number {
  const tid = tryThreadOf(pid, name);
  if (tid === undefined) throw new Error(`there is no thread ${name}`);
  return tid;
}

/** Returns the ID of the thread called `name` of a process; undefined if there is none (yet). */
export function tryThreadOf(pid: number, name: string): number | undefined {
  const tasks = readdirSync(`/proc/${pid}/task`).map(Number);
  return tasks.find((task) => readProc(task, "comm") === `${name}\n`);
}

/** A thread that is stopped until this object is disposed of, or the thread's process ends. */
export class StoppedThread implements AsyncDisposable {
  readonly #tracer: ChildProcess;

  private constructor(tracer: ChildProcess) {
    this.#tracer = tracer;
  }

  static async stop(tid: number): Promise<StoppedThread> {
    const tracer = spawn("perl", ["-e", STOP_THREAD, String(tid)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (tracer.stdout === null) throw new Error("no output");
    await once(tracer.stdout, "data");
    return new StoppedThread(tracer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#tracer, "exit");
    if (this.#tracer.kill("SIGKILL")) await ended;
  }
}
