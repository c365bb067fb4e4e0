/** The reaper's thread. */

import { setThreadName } from "@cm4all/linux";
import { openLog } from "../log.ts";
import { zeroCounts } from "../metrics/declaration.ts";
import { EventLoop } from "../thread/event-loop.ts";
import { ParentThread, workerOptions } from "../thread/parent-thread.ts";
import type { ReaperDialogue, ReaperOptions } from "./messages.ts";
import { REAPER_METRICS } from "./metrics.ts";
import { openCgroupRoot } from "./open-root.ts";
import { Reaper } from "./reaper.ts";

/** Runs until it is told to stop. To be called on a worker thread. */
export function runReaper(): void {
  setThreadName("reaper");
  const options = workerOptions<ReaperOptions>();
  const counts = zeroCounts(REAPER_METRICS);
  const root = openCgroupRoot(options.root);
  const loop = new EventLoop(counts.turnSeconds);
  const parent = new ParentThread<ReaperDialogue>();
  try {
    // It writes the log itself: a message for each line would cost more than the line.
    const log = openLog(options.verbose, (delayMs, run) => loop.after(delayMs, run));
    const reaper = new Reaper(options, root, loop, counts, log, parent);
    try {
      reaper.start();
      parent.listen(loop, reaper.handlers);
      loop.run();
    } finally {
      reaper.close();
    }
  } finally {
    // Also when it crashes: the thread is started again, its descriptors stay the process's.
    root.close();
    loop.close();
  }
}
