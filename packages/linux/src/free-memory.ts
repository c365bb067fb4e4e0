/** Gives memory that nothing uses back to the kernel. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { intFunction } from "./libc.ts";

const libc = { malloc_trim: intFunction("malloc_trim", 1) };

/** How long a thread should have had nothing to do before it frees memory. */
export const QUIET_MS = 5000;

/**
 * Collects the garbage of the calling thread, and returns what libc keeps for all threads.
 * Neither happens by itself in a process that has become idle. It takes some tens of
 * milliseconds, in which the thread does nothing else, and another thread that allocates may
 * wait for a part of it. From then on the space for objects that die young does not grow in any
 * thread: with V8's choice, 16 MB, a daemon keeps 60 MB more after a burst of cgroups.
 * @see malloc_trim(3)
 */
export function freeMemory(): void {
  // Not as options of the command: with any of V8's, Node 20 compiles its own modules anew in
  // each thread, a third of the time that it takes to start.
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect();
  libc.malloc_trim(0);
}
