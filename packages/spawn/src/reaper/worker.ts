/** The reaper's thread. */

import { openLog } from "../log.ts";
import { zeroCounts } from "../metrics/declaration.ts";
import { EventLoop } from "../thread/event-loop.ts";
import { ParentThread, workerOptions } from "../thread/parent-thread.ts";
import type { ReaperDialogue, ReaperOptions } from "./messages.ts";
import { REAPER_METRICS } from "./metrics.ts";
import { Reaper } from "./reaper.ts";

/** Runs until it is told to stop. To be called on a worker thread. */
export function runReaper(): void {
  const options = workerOptions<ReaperOptions>();
  const counts = zeroCounts(REAPER_METRICS);
  const loop = new EventLoop(counts.turnSeconds);
  const parent = new ParentThread<ReaperDialogue>();
  // It writes the log itself: a message for each line would cost more than the line.
  const reaper = new Reaper(options, loop, counts, openLog(options.verbose), (releases) =>
    parent.post("released", releases),
  );
  try {
    reaper.start();
    parent.listen(loop, reaper.handlers);
    loop.run();
  } finally {
    // Also when it crashes: the thread is started again, its descriptors stay the process's.
    reaper.close();
    loop.close();
  }
}
