/**
 * The memory of scripts. V8 ends the process when its heap is full, and with it all handlers.
 * So the heap is checked before that, and only the code that asks for too much fails.
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
/** The part of V8's limit that scripts may fill: a table grows by half of its size at once. */
const USABLE = 0.75;
/** The bytes of V8's limit that are for young objects, if no option has set the limit. */
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
/** If less is in use, there is nothing to collect yet. */
let collectAt = 0;
let collectGarbage: (() => void) | undefined;

/** Returns the memory in use: that of the heap or that outside of it, whichever is larger. */
function used(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  // Each of the two may be as large as the limit: long strings are outside the heap.
  return Math.max(used_heap_size, external_memory);
}

/** Checks that this many bytes may be allocated; to be called before. @throws OutOfMemory */
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
  const alive = used();
  if (alive + more > limit) {
    isRefused = true;
    throw new OutOfMemory();
  }
  // If most objects are alive, a collection for each further step would take all the time.
  collectAt = (alive + limit) / 2;
}

/** The part of the limit below which no collection is forced. */
const COLLECT = 0.7;

/** Returns true if memory was refused since the last call. */
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
