/** Stops one thread of a process, while the other threads continue. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { readProc } from "@cm4all/testing";

/**
 * A Perl program that stops one thread with ptrace(PTRACE_ATTACH) for as long as the program runs.
 * It stops the thread only in epoll_wait(2), and otherwise lets it go and tries again: elsewhere
 * the thread could hold a lock of malloc or V8 for which all other threads would wait. Perl needs
 * the numbers of system calls: on x86-64, 101 is ptrace(2), 281 is epoll_pwait(2), which the addon
 * calls for epoll_wait(2), and 232 is epoll_wait(2), which glibc calls if there is no addon.
 */
const STOP_THREAD = `
  $| = 1;
  for (;;) {
    syscall(101, 16, $ARGV[0] + 0, 0, 0) == 0 or die "ptrace: $!";
    waitpid($ARGV[0], 0x40000000) > 0 or die "waitpid: $!";
    open my $call, "<", "/proc/$ARGV[0]/syscall" or die "/proc: $!";
    last if <$call> =~ /^(?:281|232) /;
    syscall(101, 17, $ARGV[0] + 0, 0, 0) == 0 or die "ptrace: $!";
    select undef, undef, undef, 0.001;
  }
  print "stopped\\n";
  1 while waitpid($ARGV[0], 0x40000000) > 0;
  sleep 3600;`;

/** The need of STOP_THREAD, for `missing`. */
export const stoppableThreads = (): string | undefined =>
  process.arch === "x64" ? undefined : "needs x86-64";

/** Returns the ID of a process's thread called `name`. @throws Error if there is none */
export function threadOf(pid: number, name: string): number {
  const tid = tryThreadOf(pid, name);
  if (tid === undefined) throw new Error(`there is no thread ${name}`);
  return tid;
}

/** Returns the ID of a process's thread called `name`; undefined if there is none (yet). */
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
