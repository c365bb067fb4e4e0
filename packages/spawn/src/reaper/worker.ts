/** The reaper's thread. */
import { openLog } from "../log.ts";
import { EventLoop } from "../thread/event-loop.ts";
import { attachToParent, workerOptions } from "../thread/messages.ts";
import type { FromReaper, ReaperOptions, ToReaper } from "./messages.ts";
import { Reaper } from "./reaper.ts";

/** Runs until it is told to stop. To be called on a worker thread. */
export function runReaper(): void {
  const options = workerOptions<ReaperOptions>();
  const loop = new EventLoop();
  const parent = attachToParent<ToReaper, FromReaper>(loop, (message) => service.handle(message));
  // It writes the log itself: a message for each line would cost more than the line.
  const service = new Reaper(options, loop, openLog(options.verbose), parent.post);
  try {
    service.start();
    loop.run();
  } finally {
    // Also when it crashes: the thread is started again, its descriptors stay the process's.
    service.close();
    loop.close();
  }
}
