/** Returns unused memory to the kernel. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { intFunction } from "./libc.ts";

const libc = { malloc_trim: intFunction("malloc_trim", 1) };

/**
 * The time, in milliseconds, for which a thread should be idle before it frees memory, and again
 * before it does so a second time. A garbage collection gives back the space for short-lived
 * objects only if fewer than 1,000 bytes per millisecond were allocated in the five seconds before.
 * The first collection often does not give it back, because V8 counts all memory, up to 16 MB, that
 * has been allocated since the previous collection, however long ago that was. The second
 * collection comes more than five seconds after the first.
 */
export const QUIET_MS = 5500;

/**
 * Collects the garbage of the calling thread, and returns to the kernel the memory that libc keeps
 * for all threads. In a process that has become idle, neither happens by itself. A call takes some
 * tens of milliseconds, in which the thread does nothing else and other threads that allocate
 * memory may have to wait. Afterwards the space for short-lived objects does not grow in any
 * thread: if it grew to V8's limit of 16 MB, a daemon would keep 60 MB more after a burst of
 * cgroups.
 * @see malloc_trim(3)
 */
export function freeMemory(): void {
  collectGarbage();
  libc.malloc_trim(0);
}

function collectGarbage(): void {
  // These flags are not set on the command line: if either of them were, Node 20 would compile its
  // own modules anew in each thread, which takes a third of the thread's startup time.
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect();
}

/** The number of bytes that may pass through a thread before its garbage is collected. */
export const MAX_PASSED_BYTES = 16 * 1024 * 1024;

/**
 * Bounds the garbage of a thread through which large records pass. Each record leaves several
 * copies of itself. V8 collects these only when there are many of them: with Node 24, twice as many
 * as with Node 20.
 */
export class GarbageBound {
  #bytes = 0;

  /**
   * Notes that a record of this size has passed through the thread. Collects garbage after each
   * MAX_PASSED_BYTES; a collection takes some tens of milliseconds.
   */
  passed(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < MAX_PASSED_BYTES) return;
    this.#bytes = 0;
    collectGarbage();
  }
}
