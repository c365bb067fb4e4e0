/**
 * The reaper without the rest of the daemon, told by its parent process over Node's IPC
 * what the main thread would tell it. `argv[2]` are the reaper's options as JSON.
 */
import { isMainThread } from "node:worker_threads";
import type { ReaperStatus, Release } from "../../src/reaper/messages.ts";
import { ReaperThread } from "../../src/reaper/thread.ts";
import { runReaper } from "../../src/reaper/worker.ts";

export type ToProgram =
  | { kind: "settle"; releases: number[] }
  | { kind: "status" }
  | { kind: "accounting"; wanted: boolean }
  | { kind: "stop" };

export type FromProgram =
  | { kind: "released"; releases: readonly Release[] }
  | { kind: "status"; status: ReaperStatus };

function send(message: FromProgram): void {
  process.send?.(message);
}

function sendStatus(status: ReaperStatus | undefined): void {
  if (status !== undefined) send({ kind: "status", status });
}

function runMain(): void {
  const reaper = new ReaperThread(
    JSON.parse(process.argv[2] ?? ""),
    (releases) => send({ kind: "released", releases }),
    (error) => {
      if (error !== undefined) console.error(error);
      process.exit(error === undefined ? 0 : 1);
    },
  );
  process.on("SIGTERM", () => reaper.stop());
  process.on("message", async (message: ToProgram) => {
    if (message.kind === "settle") reaper.settle(message.releases);
    else if (message.kind === "status") sendStatus(await reaper.status());
    else if (message.kind === "accounting") reaper.setAccounting(message.wanted);
    else reaper.stop();
  });
}

if (isMainThread) runMain();
else runReaper();
