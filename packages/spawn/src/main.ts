/**
 * The one file that becomes the program: the daemon's main thread, its subcommands, and
 * its workers, which start the same bundle again.
 */
import { isMainThread } from "node:worker_threads";
import { BROKER_ROLE } from "./broker/handle.ts";
import { runBroker } from "./broker/worker.ts";
import { runCommandLine } from "./command-line.ts";
import { REAPER_ROLE } from "./reaper/handle.ts";
import { runReaper } from "./reaper/worker.ts";
import { workerRole } from "./thread/messages.ts";

function runWorker(role: string): void {
  switch (role) {
    case BROKER_ROLE:
      runBroker();
      break;
    case REAPER_ROLE:
      runReaper();
      break;
    default:
      throw new Error(`unknown worker: ${role}`);
  }
}

if (isMainThread) void runCommandLine();
else runWorker(workerRole());
