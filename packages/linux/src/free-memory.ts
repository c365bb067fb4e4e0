/** Gives memory that nothing uses back to the kernel. */
import { intFunction } from "./libc.ts";

const libc = { malloc_trim: intFunction("malloc_trim", 1) };

/** How long a thread should have had nothing to do before it frees memory. */
export const QUIET_MS = 5000;

/**
 * Collects the garbage of the calling thread, and returns what libc keeps for all threads.
 * Neither happens by itself in a process that has become idle. It takes some milliseconds,
 * in which the thread does nothing else, and another thread that allocates may wait for it.
 * Without Node's option `--expose-gc` garbage stays.
 * @see malloc_trim(3)
 */
export function freeMemory(): void {
  globalThis.gc?.();
  libc.malloc_trim(0);
}
