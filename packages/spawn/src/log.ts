/**
 * The daemon's log: one line an event on stderr. When stderr is the journal's, lines
 * carry a priority `<N>`; on a terminal or in a file they carry the time instead.
 * @see sd-daemon(3)
 */
import { fstatSync, writeSync } from "node:fs";

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

/** One printable line. Pure. */
export function printable(text: string): string {
  return text.replace(CONTROL, (c) =>
    c === "\n" ? "\\n" : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
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

/** Writes to stderr. @param verbose whether LOG_DEBUG lines are written */
export function openLog(verbose: boolean): Logger {
  const journal = isJournal(process.env["JOURNAL_STREAM"]);
  return (priority, text) => {
    if (priority === LOG_DEBUG && !verbose) return;
    const prefix = journal ? `<${priority}>` : `${new Date().toISOString()} `;
    writeLine(`${prefix}${printable(text)}\n`);
  };
}

/** A log that nobody can write to must not end the daemon. */
function writeLine(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // EAGAIN, EPIPE, ENOSPC: there is no other place to report it to.
  }
}
