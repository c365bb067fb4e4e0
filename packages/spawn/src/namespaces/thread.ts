/** The main thread's side of the namespace service: starts its thread. */
import type { Logger } from "../log/log.ts";
import { NAMESPACES_ROLE } from "../roles.ts";
import type { EventHandlers } from "../thread/dialogue.ts";
import { WorkerThread } from "../thread/worker-thread.ts";
import type { NamespaceDialogue, NamespaceOptions } from "./messages.ts";

export type NamespaceThread = WorkerThread<NamespaceDialogue>;

/** Starts the thread. It opens its store immediately, and then waits for `serve`. */
export function startNamespaceThread(
  options: NamespaceOptions,
  log: Logger,
  told: Omit<EventHandlers<NamespaceDialogue>, "log">,
): NamespaceThread {
  return new WorkerThread<NamespaceDialogue>({
    role: NAMESPACES_ROLE,
    options,
    events: { log: ({ priority, text }) => log(priority, text), ...told },
  });
}
