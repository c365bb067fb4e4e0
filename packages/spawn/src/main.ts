/**
 * The entry point of the bundle. The daemon's main thread, its worker threads and the subcommands
 * all begin here; each imports only the modules that it needs, to save time and memory.
 */
import { isMainThread } from "node:worker_threads";
import { NAMESPACES_ROLE, REAPER_ROLE } from "./roles.ts";
import { workerRole } from "./thread/parent-thread.ts";

async function runWorker(role: string): Promise<void> {
  switch (role) {
    case NAMESPACES_ROLE: {
      const { runNamespaceService } = await import("./namespaces/service.ts");
      runNamespaceService();
      break;
    }
    case REAPER_ROLE: {
      const { runReaper } = await import("./reaper/worker.ts");
      runReaper();
      break;
    }
    default:
      throw new Error(`unknown worker: ${role}`);
  }
}

async function runProgram(): Promise<void> {
  const { runCommandLine } = await import("./command-line.ts");
  await runCommandLine();
}

if (!isMainThread) void runWorker(workerRole());
else void runProgram();
