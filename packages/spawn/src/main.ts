/**
 * The one file that becomes the program: the daemon's main thread, its subcommands, its
 * workers and its script host, which start the same bundle again.
 */
import { isMainThread } from "node:worker_threads";
import { SCRIPT_HOST_COMMAND } from "./accounting/script/script.ts";
import { runCommandLine } from "./command-line.ts";
import { runNamespaceService } from "./namespaces/service.ts";
import { NAMESPACES_ROLE } from "./namespaces/thread.ts";
import { REAPER_ROLE } from "./reaper/thread.ts";
import { runReaper } from "./reaper/worker.ts";
import { workerRole } from "./thread/parent-thread.ts";

function runWorker(role: string): void {
  switch (role) {
    case NAMESPACES_ROLE:
      runNamespaceService();
      break;
    case REAPER_ROLE:
      runReaper();
      break;
    default:
      throw new Error(`unknown worker: ${role}`);
  }
}

/** Loads Lua and the database's client, which no other part of the program needs. */
async function runScriptHost(): Promise<void> {
  const { runHost } = await import("@cm4all/lua/host");
  runHost();
}

if (!isMainThread) runWorker(workerRole());
else if (process.argv[2] === SCRIPT_HOST_COMMAND) void runScriptHost();
else void runCommandLine();
