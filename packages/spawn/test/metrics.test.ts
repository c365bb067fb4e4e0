import { get } from "node:http";
import { missing } from "@cm4all/testing";
import { describe, expect, it } from "vitest";
import { TestDaemon, until } from "./support/daemon.ts";

function fetchMetrics(
  socketPath: string,
  path = "/metrics",
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    get({ socketPath, path }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    }).on("error", reject);
  });
}

describe.skipIf(missing("root", "catatonit") !== undefined)("metrics", () => {
  it("count what the daemon does", async () => {
    const socket = `/tmp/cm4all-spawn-metrics-${process.pid}.sock`;
    const daemon = await TestDaemon.start({ config: `[metrics]\nlisten = "${socket}"\n` });
    try {
      await daemon.untilLogged(`metrics are served at ${socket}`);
      using client = daemon.connect();
      client.inodes("a", { ipc: true, pid: true });
      client.inodes("a", { ipc: true });
      using _lease = client.ask("b", { lease: true });
      await until(async () => (await daemon.status()).names === 2, "both names are there");
      const { status, text } = await fetchMetrics(socket);
      expect(status).toBe(200);
      const lines = text.split("\n");
      for (const line of [
        'cm4all_spawn_requests_total{result="answered"} 3',
        'cm4all_spawn_requests_total{result="refused"} 0',
        'cm4all_spawn_requested_total{type="ipc"} 2',
        'cm4all_spawn_requested_total{type="lease"} 1',
        'cm4all_spawn_namespaces{type="pid"} 1',
        "cm4all_spawn_leased_names 1",
        "# TYPE cm4all_spawn_request_duration_seconds histogram",
        'cm4all_spawn_request_duration_seconds_bucket{le="+Inf"} 3',
        "cm4all_spawn_request_duration_seconds_count 3",
      ])
        expect(lines).toContain(line);
      expect(text).toMatch(/^cm4all_spawn_loop_delay_seconds\{thread="namespaces"\} [\d.e-]+$/m);
      expect((await fetchMetrics(socket, "/")).status).toBe(404);
    } finally {
      await daemon.stop();
    }
  });
});
