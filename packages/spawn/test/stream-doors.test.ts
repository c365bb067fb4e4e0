/**
 * Tests the stream sockets, for administrators and for metrics: their modes, and the limits of a
 * connection.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isErrno } from "@cm4all/linux";
import { missing } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestDaemon } from "./support/daemon.ts";

/** Sends `text`, and returns what is received until the connection is closed. */
async function exchange(path: string, text: string): Promise<string> {
  const socket = connect(path);
  let received = "";
  socket.setEncoding("utf8");
  socket.on("data", (data) => {
    received += data;
  });
  socket.write(text);
  await new Promise<void>((resolve, reject) => {
    // The daemon may close the connection before it has read everything.
    socket.on("error", (error) => isErrno(error, "EPIPE", "ECONNRESET") || reject(error));
    socket.once("close", () => resolve());
  });
  return received;
}

describe.skipIf(missing("root", "catatonit") !== undefined)("a stream socket", () => {
  let directory: string;
  let control: string;
  let metrics: string;
  let daemon: TestDaemon;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "cm4all-spawn-doors-"));
    control = join(directory, "made", "control.sock");
    metrics = join(directory, "metrics.sock");
    daemon = await TestDaemon.start({
      config: `[metrics]\nlisten = "${metrics}"\n`,
      options: ["--control", control],
      // This umask would give all users access to everything.
      wrapper: ["sh", "-c", 'umask 0; exec "$@"', "sh"],
    });
    await daemon.untilLogged("metrics are served");
  });
  afterAll(async () => {
    await daemon.stop();
    rmSync(directory, { recursive: true });
  });

  it("is accessible only to root", () => {
    const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
    expect([control, join(directory, "made"), metrics].map(modeOf)).toEqual(["600", "700", "600"]);
  });

  it("for administrators refuses a line longer than any command needs", async () => {
    const line = (padding: number) => `${" ".repeat(padding)}{"command":"status"}\n`;
    expect(await exchange(control, line(50_000))).toContain('"pid":');
    expect(await exchange(control, line(200_000))).toBe("");
  });

  it("for metrics answers one request, and closes the connection", async () => {
    const request = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
    const text = await exchange(metrics, request.repeat(2));
    expect(text.match(/^HTTP\/1\.1 200 OK\r$/gm)).toHaveLength(1);
    expect(text).toMatch(/^connection: close\r$/m);
  });
});
