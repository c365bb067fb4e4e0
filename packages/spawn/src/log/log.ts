/**
 * The daemon's log: one line on stderr for each event. If stderr goes to systemd's journal, lines
 * begin with a priority, `<N>`; otherwise, they begin with the time.
 * @see sd-daemon(3)
 */
import { fstatSync } from "node:fs";
import { printable } from "@cm4all/command";
import { LineWriter, type Schedule } from "./line-writer.ts";

const STDERR = 2;

/** The priorities of syslog(3). */
export const LOG_ERR = 3;
export const LOG_WARNING = 4;
export const LOG_NOTICE = 5;
export const LOG_INFO = 6;
export const LOG_DEBUG = 7;

export type Priority = 3 | 4 | 5 | 6 | 7;

/** A line for the log, as a worker thread sends it to the main thread. */
export interface LogLine {
  readonly priority: Priority;
  readonly text: string;
}

export type Logger = (priority: Priority, text: string) => void;

/**
 * Returns whether stderr goes to systemd's journal.
 * @param journalStream the value of `JOURNAL_STREAM`: device and inode of the journal's stream
 */
function isJournal(journalStream: string | undefined): boolean {
  if (journalStream === undefined) return false;
  const { dev, ino } = fstatSync(2);
  return journalStream === `${dev}:${ino}`;
}

/**
 * Opens the log of a thread. Logging does not wait for the reader of the log; see LineWriter.
 * @param verbose true to write LOG_DEBUG lines, too
 * @param schedule calls a function later on this thread
 */
export function openLog(verbose: boolean, schedule: Schedule = scheduleUnref): Logger {
  const journal = isJournal(process.env["JOURNAL_STREAM"]);
  const format = (priority: Priority, text: string) => {
    const prefix = journal ? `<${priority}>` : `${new Date().toISOString()} `;
    return `${prefix}${printable(text)}\n`;
  };
  const writer = new LineWriter(STDERR, schedule, (count) =>
    format(LOG_WARNING, `${count} lines of the log were lost because they could not be written`),
  );
  return (priority, text) => {
    if (priority === LOG_DEBUG && !verbose) return;
    // A line about an error may be the last line that the process writes.
    writer.write(format(priority, text), priority <= LOG_ERR);
  };
}

/**
 * Calls a function later on the main thread, without keeping the process alive for lines that wait
 * for a reader.
 */
function scheduleUnref(delayMs: number, run: () => void): void {
  setTimeout(run, delayMs).unref();
}

/** Logs why the process is about to end. Any thread may call this function. */
export function logLast(text: string): void {
  openLog(false)(LOG_ERR, text);
}
