/**
 * The memory of scripts. V8 ends the process when its heap is full, and with it all that
 * runs there; so it is looked at before, and the code that wants more than there is fails.
 */
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Thrown instead of what V8 would do; becomes an error of the script. */
export class OutOfMemory extends Error {
  override name = "OutOfMemory";

  constructor() {
    super("not enough memory");
  }
}

/** How much may be asked for until the heap is looked at. */
const STEP = 4 * 1024 * 1024;
/** The part of V8's limit that scripts may fill: a table's memory grows by half of it at once. */
const USABLE = 0.75;
/** Of V8's own limit, what is for young objects, if it has chosen both itself. */
const YOUNG = 48 * 1024 * 1024;

/** How large V8 lets old objects become, in bytes. */
function oldSpaceLimit(): number {
  const option = process.execArgv.map((text) => /^--max-old-space-size=(\d+)$/.exec(text)?.[1]);
  const mebibytes = Number(option.findLast((value) => value !== undefined) ?? 0);
  return mebibytes > 0 ? mebibytes * 1024 * 1024 : getHeapStatistics().heap_size_limit - YOUNG;
}

const limit = oldSpaceLimit() * USABLE;
let asked = 0;
let isRefused = false;
/** With less in use there is nothing to collect yet. */
let collectAt = 0;
let collectGarbage: (() => void) | undefined;

/** What is in use: of the heap, and of memory outside that the collector would give back. */
function used(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  // Either may be as large as the limit: strings of some size lie outside of the heap.
  return Math.max(used_heap_size, external_memory);
}

/** To be called before so many bytes are allocated. @throws OutOfMemory */
export function reserve(bytes: number): void {
  asked += bytes;
  if (asked < STEP) return;
  asked = 0;
  checkMemory(bytes);
}

/** @throws OutOfMemory if what is alive, with `more` bytes, would fill the heap */
export function checkMemory(more = 0): void {
  if (used() + more <= Math.max(collectAt, COLLECT * limit)) return;
  collect();
  const alive = used();
  if (alive + more > limit) {
    isRefused = true;
    throw new OutOfMemory();
  }
  // Where most is alive, a collection for each further step would take all the time.
  collectAt = (alive + limit) / 2;
}

/** Below this part of the limit the collector is left alone. */
const COLLECT = 0.7;

/** Whether anything was refused since this was asked last. */
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
