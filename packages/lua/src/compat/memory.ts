/**
 * The memory of scripts. When its heap is full, V8 ends the process, and all handlers with it. So
 * the heap is checked before it is full, and only the code that asks for too much memory fails.
 */
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Thrown before V8 would end the process; becomes an error of the script. */
export class OutOfMemory extends Error {
  override name = "OutOfMemory";

  constructor() {
    super("not enough memory");
  }
}

/** The number of bytes that may be asked for before the heap is checked again. */
const STEP = 4 * 1024 * 1024;
/**
 * The part of V8's limit that scripts may fill. The rest is a reserve, because a table grows by
 * half of its size in one step.
 */
const USABLE = 0.75;
/** The number of bytes of V8's default limit that are for young objects. */
const YOUNG = 48 * 1024 * 1024;

/** Returns V8's limit for old objects, in bytes. */
function oldSpaceLimit(): number {
  const option = process.execArgv.map((text) => /^--max-old-space-size=(\d+)$/.exec(text)?.[1]);
  const mebibytes = Number(option.findLast((value) => value !== undefined) ?? 0);
  return mebibytes > 0 ? mebibytes * 1024 * 1024 : getHeapStatistics().heap_size_limit - YOUNG;
}

const limit = oldSpaceLimit() * USABLE;
let asked = 0;
let isRefused = false;
/** As long as no more bytes than this are in use, a collection is not worth its time. */
let collectAt = 0;
let collectGarbage: (() => void) | undefined;

/** Returns the number of bytes in use in the heap, or outside it if more are in use there. */
function used(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  // Each of the two may be as large as the limit: long strings are outside the heap.
  return Math.max(used_heap_size, external_memory);
}

/** Checks, before an allocation, that it may take this many bytes. @throws OutOfMemory */
export function reserve(bytes: number): void {
  asked += bytes;
  if (asked < STEP) return;
  asked = 0;
  checkMemory(bytes);
}

/**
 * Collects garbage if necessary.
 * @throws OutOfMemory if the live objects and `more` bytes would exceed what scripts may fill
 */
export function checkMemory(more = 0): void {
  if (used() + more <= Math.max(collectAt, COLLECT * limit)) return;
  collect();
  // V8 frees the memory outside the heap in another thread; only the next collection waits until
  // that is done.
  if (used() + more > limit) collect();
  const alive = used();
  if (alive + more > limit) {
    isRefused = true;
    throw new OutOfMemory();
  }
  // If most objects are alive, a collection at each further step would take up all the time.
  collectAt = (alive + limit) / 2;
}

/** The part of `limit` below which no collection is forced. */
const COLLECT = 0.7;

/** Returns true if memory has been refused since the last call. */
export function takeRefusal(): boolean {
  const was = isRefused;
  isRefused = false;
  return was;
}

function collect(): void {
  if (collectGarbage === undefined) {
    setFlagsFromString("--expose-gc");
    collectGarbage = runInNewContext("gc") as () => void;
  }
  collectGarbage();
}
