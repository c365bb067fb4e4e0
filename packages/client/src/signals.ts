import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { childExit, type ExitReason, isErrno, ProcStatField, parseProcStat } from "@cm4all/linux";

/** The signals that are passed on: those that ask a program for something, and can be caught. */
const PASSED_ON = [
  "SIGINT",
  "SIGTERM",
  "SIGHUP",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGWINCH",
  "SIGCONT",
] as const;

/** Signals that a terminal sends to all processes of its foreground process group. */
const FROM_TERMINAL: ReadonlySet<string> = new Set(["SIGINT", "SIGQUIT", "SIGWINCH"]);

/** A child that has been started. */
export interface Child {
  readonly pid: number;
  /** Settles when the child has ended and has been reaped. */
  readonly exit: Promise<ExitReason>;
}

/**
 * Starts a child, and passes on to it the signals that this process gets.
 *
 * The child stays in our process group, so that pipelines and Ctrl-Z work as the shell expects.
 * In the foreground of a terminal, the child gets the terminal's signals itself; passing them on
 * would deliver a Ctrl-C twice. (Node does not report the sender of a signal. So while we are in
 * the foreground, a SIGINT from kill(1) is taken for the terminal's and is not passed on.)
 * @param ignored numbers of signals that are ignored, and so are neither caught nor passed on
 */
export function startPassingSignals(start: () => number, ignored: readonly number[]): Child {
  let running: number | undefined;
  const pass = (signal: NodeJS.Signals) => {
    if (FROM_TERMINAL.has(signal) && isInForeground(readFileSync("/proc/self/stat", "latin1")))
      return;
    if (running !== undefined) trySignal(running, signal);
  };
  // The signals are caught before the child exists, because one may arrive as soon as it runs.
  for (const signal of PASSED_ON)
    if (!ignored.includes(constants.signals[signal])) process.on(signal, pass);
  const pid = start();
  running = pid;
  const exit = childExit(pid).finally(() => {
    running = undefined;
  });
  return { pid, exit };
}

/** Sends a signal; has no effect if the child has ended or we lack the permission. */
function trySignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!isErrno(error, "EPERM", "ESRCH")) throw error;
  }
}

/**
 * Returns true if a process is in the foreground process group of its terminal. Pure.
 * @param stat `/proc/PID/stat` @see proc_pid_stat(5)
 */
export function isInForeground(stat: string): boolean {
  const field = (number: number) => parseProcStat(stat, number);
  const { PGRP, TTY_NR, TPGID } = ProcStatField;
  return field(TTY_NR) !== 0 && field(PGRP) === field(TPGID);
}
