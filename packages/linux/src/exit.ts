/** Ends the process. @see _exit(2) */
import { intFunction } from "./libc.ts";

const libc = { _exit: intFunction("_exit", 1) };

/**
 * Ends the process immediately; buffered output is lost. process.exit would wait for worker
 * threads, even for a thread that is blocked in a system call.
 */
export function exitImmediately(status: number): never {
  libc._exit(status);
  throw new Error("_exit returned");
}
