/** `GET /metrics` for Prometheus, over TCP or a Unix socket. */

import { once } from "node:events";
import { chmodSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { encodeUnixAddress, errorText, SOCK_STREAM } from "@cm4all/linux";
import { Allowance } from "../sockets/allowance.ts";
import { type ConnectionBounds, ConnectionLimit } from "../sockets/connection-limit.ts";
import { tryRemoveStaleSocket } from "../sockets/stale-socket.ts";
import { parseListenAddress } from "./address.ts";
import type { Exposition } from "./exposition.ts";
import { SharedCall } from "./shared-call.ts";

/** The limits for connections: everybody who can reach the port can connect. */
const BOUNDS: ConnectionBounds = { count: 256, peerTimeoutMs: 10_000 };

/**
 * Allows ten pages in a row, and one per second after that. A page takes a few milliseconds of CPU
 * time, some of them on the thread that answers clients: a flood of requests for pages must not
 * make even one client in a hundred wait.
 */
const pagesAllowed = () => new Allowance(10, 1);

/**
 * The number of requests that may wait for the next page; as many again may wait for the page that
 * is being made. Further requests get the latest page, and wait only if it is still being made. The
 * limit for connections has to be higher than twice this number: otherwise waiting connections
 * would be closed to make room for others.
 */
const MAX_WAITING = BOUNDS.count / 4;

/** The maximum number of connections that wait to be accepted; net.core.somaxconn may lower it. */
const LISTEN_BACKLOG = 4096;

/**
 * Listens at `address`. The caller closes the server.
 * @param pages limits how often a page is rendered; further requests wait for the next page
 * @throws Error if a system call fails or a path is too long
 */
export async function listenForMetrics(
  address: string,
  exposition: Exposition,
  pages = pagesAllowed(),
): Promise<Server> {
  const page = new SharedCall(() => exposition.render(), pages, MAX_WAITING);
  const server = createServer(async (request, response) => {
    // A connection carries a single request, which limits what it can cost; further requests on it
    // are ignored.
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
 * Returns the path of a request's target, which may have a query, and may be a complete URL.
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
    // If the path is too long, throws an error that says so; `listen` would only report EINVAL.
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
