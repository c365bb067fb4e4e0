/** `GET /metrics` for Prometheus, over TCP or a Unix socket. */

import { once } from "node:events";
import { chmodSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { encodeUnixAddress, errorText, SOCK_STREAM } from "@cm4all/linux";
import { type ConnectionBounds, ConnectionLimit } from "../sockets/connection-limit.ts";
import { tryRemoveStaleSocket } from "../sockets/stale-socket.ts";
import { parseListenAddress } from "./address.ts";
import type { Exposition } from "./exposition.ts";
import { SharedCall } from "./shared-call.ts";

/** Anybody who reaches the port can connect. */
const BOUNDS: ConnectionBounds = { count: 256, peerTimeoutMs: 10_000 };

/**
 * How many pages are made in a row, and how many a second after that. Each takes some of the time
 * of the thread that answers clients: a flood of questions must not keep a hundredth of these
 * waiting.
 */
const PAGES = 10;
const PAGES_PER_SECOND = 2;

/** Connections that wait to be accepted; net.core.somaxconn bounds it. */
const LISTEN_BACKLOG = 4096;

/**
 * Listens at `address`. The caller closes the server.
 * @throws Error of the system call that failed, or for a path that is too long
 */
export async function listenForMetrics(address: string, exposition: Exposition): Promise<Server> {
  // Each asks the thread that answers clients.
  const page = new SharedCall(() => exposition.render(), PAGES, PAGES_PER_SECOND);
  const server = createServer(async (request, response) => {
    // One request a connection: what it may take then has an end.
    if (!limit.working(request.socket)) return;
    response.setHeader("connection", "close");
    const answer = (status: number, text: string) => {
      limit.answering(request.socket);
      response.writeHead(status).end(text);
    };
    if (pathOf(request.url) !== "/metrics") return answer(404, "see /metrics\n");
    try {
      const { contentType, text } = await page.get();
      response.setHeader("content-type", contentType);
      answer(200, text);
    } catch (error) {
      answer(500, `${errorText(error)}\n`);
    }
  });
  const limit = new ConnectionLimit(server, BOUNDS);
  await listen(server, address);
  return server;
}

/**
 * The path of a request's target, which may have a query, and be a whole URL.
 * @see RFC 9112, 3.2
 */
function pathOf(target: string | undefined): string | undefined {
  const [, path] = /^(?:http:\/\/[^/?#]*)?(\/[^?#]*)/i.exec(target ?? "") ?? [];
  return path;
}

async function listen(server: Server, address: string): Promise<void> {
  const where = parseListenAddress(address);
  if (where === undefined) throw new RangeError(`not an address: ${address}`);
  if ("path" in where) {
    // Says what is wrong, where listen(2) says EINVAL.
    encodeUnixAddress(where.path);
    tryRemoveStaleSocket(where.path, SOCK_STREAM);
  }
  server.listen({ ...where, backlog: LISTEN_BACKLOG });
  await once(server, "listening");
  if (!("path" in where)) return;
  try {
    chmodSync(where.path, 0o600);
  } catch (error) {
    server.close();
    throw error;
  }
}
