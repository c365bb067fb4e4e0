/** Parses `/proc/PID/stat`. Pure. @see proc_pid_stat(5) */

/**
 * The length of a tick in milliseconds. USER_HZ, the number of ticks in a second, is 100 on every
 * architecture of Debian.
 */
export const TICK_MS = 10;

/** The numbers of fields after the process's name, counted from 1 as in the manual page. */
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

/** Returns the value of a field. @throws Error if the field is missing */
export function parseProcStat(text: string, field: number): number {
  // Field 2 is the name in parentheses, which may contain any characters, even parentheses.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const value = Number(fields[field - 3] ?? Number.NaN);
  if (!Number.isInteger(value)) throw new Error(`no field ${field} in /proc/PID/stat`);
  return value;
}
