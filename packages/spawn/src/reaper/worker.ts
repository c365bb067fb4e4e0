/** The reaper's thread. */

import { setThreadName } from "@cm4all/linux";
import { openLog } from "../log/log.ts";
import { zeroCounts } from "../metrics/declaration.ts";
import { EventLoop } from "../thread/event-loop.ts";
import { ParentThread, workerOptions } from "../thread/parent-thread.ts";
import type { ReaperDialogue, ReaperOptions } from "./messages.ts";
import { REAPER_METRICS, type ReaperCounts } from "./metrics.ts";
import { type OpenRoot, openCgroupRoot } from "./open-root.ts";
import { Reaper } from "./reaper.ts";

/** Runs the reaper until the main thread stops it. To be called on a worker thread. */
export function runReaper(): void {
  setThreadName("reaper");
  const options = workerOptions<ReaperOptions>();
  const counts = zeroCounts(REAPER_METRICS);
  const root = openCgroupRoot(options.root);
  try {
    const loop = new EventLoop(counts.turnSeconds);
    try {
      runLoop(options, root, loop, counts);
    } finally {
      // Done after a crash, too: the process lives on, and would keep the thread's descriptors.
      loop.close();
    }
  } finally {
    root.close();
  }
}

function runLoop(
  options: ReaperOptions,
  root: OpenRoot,
  loop: EventLoop,
  counts: ReaperCounts,
): void {
  const parent = new ParentThread<ReaperDialogue>();
  // The thread writes the log itself: a message to the main thread for each line would cost more.
  const log = openLog(options.verbose, (delayMs, run) => loop.after(delayMs, run));
  const reaper = new Reaper(options, root, loop, counts, log, parent);
  try {
    reaper.start();
    parent.listen(loop, reaper.handlers);
    loop.run();
  } finally {
    reaper.close();
  }
}
