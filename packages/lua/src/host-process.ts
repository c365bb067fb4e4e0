/** The process of a script host, as its session sees it, however it was started. */
import type { EventEmitter } from "node:events";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";

interface HostProcessEvents {
  /** It can be talked to no more. Comes once. @param how as far as it is known */
  ended: [how: string];
}

/** Owned by the session, which ends it. */
export interface HostProcess extends EventEmitter<HostProcessEvents> {
  /** Undefined until it is known. */
  readonly pid: number | undefined;
  /** What runs it, for the log. */
  readonly place: string;
  readonly socket: Socket;
  /**
   * It has said which process it is, before it has read anything of a script.
   * @returns why it cannot be used, if so
   */
  greet(pid: number): string | undefined;
  /** Ends it at once, whatever it does; `ended` follows. */
  kill(): void;
}

/** Node's options for a script host. @param memoryMiB the script's heap */
export function nodeOptions(memoryMiB: number): string[] {
  return [
    `--max-old-space-size=${memoryMiB}`,
    // Wakes an idle process every 8 s, for as long as it lives.
    "--no-memory-reducer",
    // No debugger on SIGUSR1; packages/dev/bundle.mjs has the reason.
    "--inspect-port=192.0.2.1:9229",
  ];
}

/** What Node needs besides the heap. */
const OVERHEAD_MIB = 256;

/** How much a process with such a heap may use. */
export function mostMiB(memoryMiB: number): number {
  return memoryMiB + OVERHEAD_MIB;
}

const PAGE_BYTES = 4096;

/** The memory in use by a process; undefined where it is gone. @see proc_pid_statm(5) */
export function residentBytes(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  try {
    const [, resident] = readFileSync(`/proc/${pid}/statm`, "latin1").split(" ");
    return Number(resident) * PAGE_BYTES;
  } catch {
    // It ended.
    return undefined;
  }
}
