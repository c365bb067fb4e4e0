/** The text of `/proc/PID/stat`. Pure. @see proc_pid_stat(5) */

/** Milliseconds of a tick of USER_HZ, which is 100 on every architecture of Debian. */
export const TICK_MS = 10;

/** The number of a field, counted from 1 as in the manual page; those after the name. */
export const ProcStatField = {
  PGRP: 5,
  TTY_NR: 7,
  TPGID: 8,
  UTIME: 14,
  STIME: 15,
  CUTIME: 16,
  CSTIME: 17,
  STARTTIME: 22,
} as const;

/** Returns the number in a field. @throws Error if there is none */
export function parseProcStat(text: string, field: number): number {
  // Field 2 is the name in parentheses, which may hold anything, parentheses too.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const value = Number(fields[field - 3] ?? Number.NaN);
  if (!Number.isInteger(value)) throw new Error(`no field ${field} in /proc/PID/stat`);
  return value;
}
