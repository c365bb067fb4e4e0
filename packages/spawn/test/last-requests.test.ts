/** Tests that a daemon answers all requests that were sent before it is told to end. */
import { missing, stopProcess } from "@cm4all/testing";
import { expect, it } from "vitest";
import { request } from "./support/client.ts";
import { kill, TestDaemon } from "./support/daemon.ts";

/** More requests than the event loop handles in one turn, but no more than fit into a socket. */
const REQUESTS = 100;

it.skipIf(missing("root") !== undefined)(
  "a daemon answers all pending requests when it ends",
  async () => {
    const daemon = await TestDaemon.start();
    try {
      using client = daemon.connect();
      using _answer = client.ask("name", { ipc: true });
      const { pid } = daemon.child;
      if (pid === undefined) throw new Error("the daemon has not started");
      stopProcess(pid);
      for (let i = 0; i < REQUESTS; i++) client.send(request("name", { ipc: true }));
      kill(pid, "SIGTERM");
      kill(pid, "SIGCONT");
      for (let i = 0; i < REQUESTS; i++) {
        const raw = client.receive();
        expect(raw.kind).toBe("handles");
        if (raw.kind === "handles") raw.answer[Symbol.dispose]();
      }
      expect(client.receive().kind).toBe("closed");
    } finally {
      await daemon.stop();
    }
  },
);
