/** @see _exit(2) */
import { intFunction } from "./libc.ts";

const libc = { _exit: intFunction("_exit", 1) };

/**
 * Ends the process at once. process.exit waits for worker threads, and one that waits in
 * a system call would keep it waiting; buffered output is lost.
 */
export function exitImmediately(status: number): never {
  libc._exit(status);
  throw new Error("_exit returned");
}
