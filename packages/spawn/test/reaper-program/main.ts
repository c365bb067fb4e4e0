/**
 * Runs the reaper without the rest of the daemon. The test, which is the parent process, takes the
 * place of the daemon's main thread, and exchanges messages over Node's IPC. `argv[2]` has the
 * reaper's options as JSON.
 */
import { isMainThread } from "node:worker_threads";
import type { EncodedRecord } from "@cm4all/cgroup";
import type { Release } from "../../src/reaper/messages.ts";
import type { ReaperMetrics } from "../../src/reaper/metrics.ts";
import { type ReaperThread, startReaperThread } from "../../src/reaper/thread.ts";
import { runReaper } from "../../src/reaper/worker.ts";
import { ThreadEndedError } from "../../src/thread/worker-thread.ts";

export type ToProgram =
  | { kind: "journalled"; releases: number[] }
  | { kind: "status" }
  | { kind: "interim"; intervalMs: number }
  | { kind: "accounting"; wanted: boolean }
  | { kind: "stop" };

export type FromProgram =
  | { kind: "released"; releases: readonly Release[] }
  | { kind: "deleted" | "kept" | "withdrawn"; releases: readonly number[] }
  | { kind: "scanned"; populated: readonly string[] }
  | { kind: "interim"; records: readonly EncodedRecord[] }
  | { kind: "status"; status: ReaperMetrics };

function send(message: FromProgram): void {
  process.send?.(message);
}

async function sendStatus(reaper: ReaperThread): Promise<void> {
  const status = await reaper.request("status").catch((error: unknown) => {
    if (error instanceof ThreadEndedError) return undefined;
    throw error;
  });
  if (status !== undefined) send({ kind: "status", status });
}

function runMain(): void {
  const reaper = startReaperThread(JSON.parse(process.argv[2] ?? ""), {
    released: (releases) => send({ kind: "released", releases }),
    scanned: (populated) => send({ kind: "scanned", populated }),
    deleted: (releases) => send({ kind: "deleted", releases }),
    kept: (releases) => send({ kind: "kept", releases }),
    withdrawn: (releases) => send({ kind: "withdrawn", releases }),
    interim: (records) => send({ kind: "interim", records }),
  });
  reaper.ended.then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
  process.on("SIGTERM", () => reaper.post("stop"));
  process.on("message", async (message: ToProgram) => {
    if (message.kind === "journalled") reaper.post("journalled", message.releases, 0);
    else if (message.kind === "interim") reaper.post("setInterim", message.intervalMs);
    else if (message.kind === "status") await sendStatus(reaper);
    else if (message.kind === "accounting") reaper.post("setAccounting", message.wanted);
    else reaper.post("stop");
  });
}

if (isMainThread) runMain();
else runReaper();
