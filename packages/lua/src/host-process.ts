/** The process of a script host as its session sees it, however it was started. */
import type { EventEmitter } from "node:events";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";

interface HostProcessEvents {
  /** The process or its connection has ended. Emitted once. @param how as far as this is known */
  ended: [how: string];
}

/** A process, which is owned by the session. */
export interface HostProcess extends EventEmitter<HostProcessEvents> {
  /** Undefined until it is known. */
  readonly pid: number | undefined;
  /** The place where the process runs, for the log. */
  readonly place: string;
  readonly socket: Socket;
  /**
   * Checks the pid that the process has given in its greeting, before the process has read any
   * part of a script.
   * @returns why the process cannot be used; undefined if it can
   */
  greet(pid: number): string | undefined;
  /** Ends the process immediately, whatever it is doing; `ended` follows. */
  kill(): void;
}

/** Returns Node's options for a script host. @param memoryMiB the size of the script's heap */
export function nodeOptions(memoryMiB: number): string[] {
  return [
    `--max-old-space-size=${memoryMiB}`,
    // The memory reducer would wake an idle process every 8 s for as long as it lives.
    "--no-memory-reducer",
    // No debugger on SIGUSR1; packages/dev/bundle.mjs gives the reason.
    "--inspect-port=192.0.2.1:9229",
  ];
}

/** The memory that Node needs in addition to the heap. */
const OVERHEAD_MIB = 256;

/** Returns the memory, in MiB, that a process with this heap may use. */
export function mostMiB(memoryMiB: number): number {
  return memoryMiB + OVERHEAD_MIB;
}

/**
 * Returns the memory that a process uses, in bytes; undefined if it has ended. The figure of
 * proc_pid_statm(5) would be in pages, whose size depends on the kernel.
 * @see proc_pid_status(5) VmRSS
 */
export function residentBytes(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const [, resident] = /^VmRSS:\s*(\d+) kB$/m.exec(status) ?? [];
    // A zombie has no memory, and no such line.
    return resident === undefined ? undefined : Number(resident) * 1024;
  } catch {
    // The process has ended.
    return undefined;
  }
}
