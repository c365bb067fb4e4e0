/**
 * The entry point of the bundle, which serves as the daemon's main thread, its subcommands, its
 * worker threads and its script host. Each imports only the modules it needs, to save time and
 * memory.
 */
import { isMainThread } from "node:worker_threads";
import { NAMESPACES_ROLE, REAPER_ROLE, SCRIPT_HOST_COMMAND } from "./roles.ts";
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

async function runScriptHost(): Promise<void> {
  const { runHost } = await import("@cm4all/lua/host");
  runHost();
}

async function runProgram(): Promise<void> {
  const { runCommandLine } = await import("./command-line.ts");
  await runCommandLine();
}

if (!isMainThread) void runWorker(workerRole());
else if (process.argv[2] === SCRIPT_HOST_COMMAND) void runScriptHost();
else void runProgram();
