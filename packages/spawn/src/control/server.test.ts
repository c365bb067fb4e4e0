import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer, type Server, type ServerOpts, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EX_TEMPFAIL, EX_UNAVAILABLE } from "@cm4all/command";
import { afterEach, beforeEach, expect, it } from "vitest";
import { askDaemon, listenForControl } from "./server.ts";

let directory = "";
let path = "";
let server: Server | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "control-"));
  path = join(directory, "socket");
});
afterEach(() => {
  server?.close();
  rmSync(directory, { recursive: true });
});

const listen = (serve: (socket: Socket) => void, options: ServerOpts = {}, backlog = 64) =>
  new Promise<void>((resolve) => {
    server = createServer(options, serve).listen({ path, backlog }, resolve);
  });

function fail(): never {
  throw new Error("a line was logged");
}

const modeOf = (file: string) => (statSync(file).mode & 0o777).toString(8);

it("the socket has mode 0600, and its directory, if it is created, 0700", async () => {
  const made = join(directory, "made");
  server = await listenForControl(join(made, "socket"), async () => undefined, fail);
  expect([modeOf(made), modeOf(join(made, "socket"))]).toEqual(["700", "600"]);
});

const ask = () => askDaemon(path, { command: "status" });

it.each<[string, ServerOpts, (socket: Socket) => void]>([
  // If a socket is closed with unread data, the peer gets ECONNRESET.
  [
    "it reads the request",
    { pauseOnConnect: true },
    (socket) => setTimeout(() => socket.destroy(), 50),
  ],
  ["it answers", {}, (socket) => socket.once("data", () => socket.destroy())],
  ["its answer is complete", {}, (socket) => socket.once("data", () => socket.end('{"state":"w'))],
  ["its answer has a newline", {}, (socket) => socket.once("data", () => socket.end("{}"))],
])("a daemon that ends before %s counts as not running", async (_, options, serve) => {
  await listen(serve, options);
  await expect(ask()).rejects.toMatchObject({
    exitStatus: EX_UNAVAILABLE,
    message: expect.stringContaining("the daemon has closed the connection without"),
  });
});

it("a full queue of connections is a temporary failure", async () => {
  const hello = (socket: Socket) => socket.once("data", () => socket.end('"hello"\n'));
  await listen(hello, {}, 1);
  // All clients connect before the server can accept any of them.
  const answers = await Promise.allSettled(Array.from({ length: 5 }, ask));
  const refused = answers.filter((answer) => answer.status === "rejected");
  expect(refused.length).toBeGreaterThan(0);
  for (const { reason } of refused)
    expect(reason).toMatchObject({
      exitStatus: EX_TEMPFAIL,
      message: `the daemon accepts no more connections at the moment (${path})`,
    });
  expect(await ask()).toBe("hello");
});
