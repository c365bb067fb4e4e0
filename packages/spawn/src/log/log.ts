/**
 * The daemon's log: one line an event on stderr. When stderr is the journal's, lines
 * carry a priority `<N>`; on a terminal or in a file they carry the time instead.
 * @see sd-daemon(3)
 */
import { fstatSync } from "node:fs";
import { LineWriter, type Schedule } from "./line-writer.ts";

const STDERR = 2;

/** Priorities of syslog(3). */
export const LOG_ERR = 3;
export const LOG_WARNING = 4;
export const LOG_NOTICE = 5;
export const LOG_INFO = 6;
export const LOG_DEBUG = 7;

export type Priority = 3 | 4 | 5 | 6 | 7;

/** A line for the log, also as a message from a worker to the main thread. */
export interface LogLine {
  readonly priority: Priority;
  readonly text: string;
}

export type Logger = (priority: Priority, text: string) => void;

/** Control characters, which could fake further lines or drive a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;

/** One printable line, from which the text can be told exactly. Pure. */
export function printable(text: string): string {
  return text.replace(CONTROL, (c) =>
    c === "\n" ? "\\n" : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** A message of a script and its traceback in one line, for people: each line behind a bar. Pure. */
export function inOneLine(message: string, traceback?: string): string {
  const lines = `${message}\n${traceback ?? ""}`.split("\n");
  return lines
    .map((line) => line.replaceAll("\t", " ").trim())
    .filter((line) => line !== "")
    .join(" | ");
}

/**
 * Whether stderr goes to the journal.
 * @param journalStream `JOURNAL_STREAM`: device and inode of the journal's stream
 */
function isJournal(journalStream: string | undefined): boolean {
  if (journalStream === undefined) return false;
  const { dev, ino } = fstatSync(2);
  return journalStream === `${dev}:${ino}`;
}

/**
 * Opens the log of a thread, which never waits for who reads it.
 * @param verbose whether LOG_DEBUG lines are written
 * @param schedule of this thread
 */
export function openLog(verbose: boolean, schedule: Schedule = scheduleUnref): Logger {
  const journal = isJournal(process.env["JOURNAL_STREAM"]);
  const format = (priority: Priority, text: string) => {
    const prefix = journal ? `<${priority}>` : `${new Date().toISOString()} `;
    return `${prefix}${printable(text)}\n`;
  };
  const writer = new LineWriter(STDERR, schedule, (count) =>
    format(LOG_WARNING, `${count} lines of the log were lost: nobody took them`),
  );
  return (priority, text) => {
    if (priority === LOG_DEBUG && !verbose) return;
    // An error may be the last thing that the process does.
    writer.write(format(priority, text), priority <= LOG_ERR);
  };
}

/** For the main thread: what waits for a reader does not keep the process alive. */
function scheduleUnref(delayMs: number, run: () => void): void {
  setTimeout(run, delayMs).unref();
}

/** Says why the process ends at once, from whatever thread. */
export function logLast(text: string): void {
  openLog(false)(LOG_ERR, text);
}
