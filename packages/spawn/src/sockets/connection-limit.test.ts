import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import { ConnectionLimit } from "./connection-limit.ts";

const NEVER_MS = 600_000;

let server: Server;
let limit: ConnectionLimit;
const opened: Socket[] = [];

afterEach(() => {
  for (const socket of opened.splice(0)) socket.destroy();
  server.close();
});

async function listen(count: number, peerTimeoutMs: number): Promise<void> {
  server = createServer((socket) => opened.push(socket.on("error", () => {})));
  limit = new ConnectionLimit(server, { count, peerTimeoutMs });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
}

/** Connects, and returns the server's end of the connection. */
async function accept(): Promise<Socket> {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not a port");
  const client = connect(address.port, address.address).on("error", () => {});
  opened.push(client);
  const [socket] = (await once(server, "connection")) as [Socket];
  return socket;
}

it("closes the oldest idle connection to make room", async () => {
  await listen(3, NEVER_MS);
  const sockets = [await accept(), await accept(), await accept(), await accept(), await accept()];
  expect(sockets.map((socket) => socket.destroyed)).toEqual([true, true, false, false, false]);
});

it("spares a connection whose request is being handled if others can be closed", async () => {
  await listen(2, NEVER_MS);
  const working = await accept();
  const reader = await accept();
  expect(limit.working(working)).toBe(true);
  expect(limit.working(working)).toBe(false);
  limit.working(reader);
  limit.answering(reader);
  expect(limit.working(reader)).toBe(false);
  const idle = await accept();
  expect([working, reader, idle].map((socket) => socket.destroyed)).toEqual([false, true, false]);
  const next = await accept();
  expect([working, idle, next].map((socket) => socket.destroyed)).toEqual([false, true, false]);
  expect(limit.working(idle)).toBe(false);
  limit.working(next);
  await accept();
  expect(working.destroyed).toBe(true);
});

it("makes room by closing older connections whose peers do not read the answer", async () => {
  await listen(2, NEVER_MS);
  const sockets = [await accept(), await accept()];
  for (const socket of sockets) {
    limit.working(socket);
    limit.answering(socket);
  }
  sockets.push(await accept(), await accept());
  expect(sockets.map((socket) => socket.destroyed)).toEqual([true, true, false, false]);
});

it("does not count connections that have ended", async () => {
  await listen(1, NEVER_MS);
  for (let i = 0; i < 5; i++) {
    const socket = await accept();
    expect(socket.destroyed).toBe(false);
    socket.destroy();
    await once(socket, "close");
  }
});

it("closes a connection whose peer does not send the request, or read the answer, in time", async () => {
  await listen(10, 50);
  const idle = await accept();
  await once(idle, "close");
  const reader = await accept();
  limit.working(reader);
  limit.answering(reader);
  // More than the kernel buffers for a peer that does not read.
  reader.end(Buffer.alloc(64 * 2 ** 20));
  await once(reader, "close");
  expect(reader.writableFinished).toBe(false);
});

it("does not close a connection whose peer waits for the server", async () => {
  await listen(10, 50);
  const working = await accept();
  limit.working(working);
  const idle = await accept();
  await once(idle, "close");
  expect(working.destroyed).toBe(false);
});
