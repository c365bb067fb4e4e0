/**
 * The entry point of the program's only bundle: the daemon's main thread, its subcommands, its
 * workers and its script host all start here. Each loads only its own part, because the other
 * parts would cost it time and memory.
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
