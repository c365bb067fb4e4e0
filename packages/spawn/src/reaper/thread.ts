/** The main thread's side of the reaper: starts its thread. */
import { REAPER_ROLE } from "../roles.ts";
import type { EventHandlers } from "../thread/dialogue.ts";
import { WorkerThread } from "../thread/worker-thread.ts";
import type { ReaperDialogue, ReaperOptions } from "./messages.ts";

/**
 * The memory for short-lived objects. With V8's default, the daemon grows by 25 MB when 5,000
 * cgroups become empty at the same time, and is hardly faster.
 */
const YOUNG_GENERATION_MB = 4;

export type ReaperThread = WorkerThread<ReaperDialogue>;

/** Starts the thread. @param events called on the main thread for the events of the reaper */
export function startReaperThread(
  options: ReaperOptions,
  events: EventHandlers<ReaperDialogue>,
): ReaperThread {
  return new WorkerThread<ReaperDialogue>({
    role: REAPER_ROLE,
    options,
    events,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  });
}
