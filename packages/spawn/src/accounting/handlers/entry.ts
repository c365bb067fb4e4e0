/** The records that the queue has in memory. */
import type { EncodedRecord } from "@cm4all/cgroup";
import { type ByteString, textOf } from "@cm4all/linux";
import type { WaitingRecord } from "../journal/window.ts";

/** A record in memory, and what has happened to it. */
export interface Entry {
  readonly number: number;
  readonly id: string;
  readonly path: ByteString;
  /** Undefined if it was dropped from memory; it is then read again. */
  record: EncodedRecord | undefined;
  /** The size of the record in the journal. */
  readonly bytes: number;
  isRunning: boolean;
  /** The number of calls of its handler. */
  attempts: number;
  lastError: string | undefined;
  lastFailedMs: number | undefined;
  /** The number of times that its handler has failed through its own fault. */
  failures: number;
  /** The time of the first of these failures; undefined before it, and after an outage. */
  failedSinceMs: number | undefined;
  /** The number of times that the script host has ended while its handler ran. */
  interruptions: number;
  /** The timer of its pause. */
  pause: NodeJS.Timeout | undefined;
  /** A later report of the cgroup, which came while the handler of this one was running. */
  successor: Entry | undefined;
}

/** Returns the entry of a record whose handler has not been called yet. */
export function newEntry({ number, record, bytes }: WaitingRecord): Entry {
  return {
    number,
    id: record.id,
    path: record.path,
    record,
    bytes,
    isRunning: false,
    attempts: 0,
    lastError: undefined,
    lastFailedMs: undefined,
    failures: 0,
    failedSinceMs: undefined,
    interruptions: 0,
    pause: undefined,
    successor: undefined,
  };
}

/**
 * Returns whether a record is too large, because of its attributes, to be kept in memory for later.
 */
export function isLarge(bytes: number): boolean {
  return bytes > 16 * 1024;
}

/** Returns what the log calls a group of records. */
export function nameOf(group: readonly Entry[]): string {
  const [first] = group;
  if (first === undefined) return "no cgroup";
  const name = textOf(first.path);
  const others = group.length - 1;
  if (others === 0) return name;
  return `${name} and ${others} ${others === 1 ? "other" : "others"}`;
}
