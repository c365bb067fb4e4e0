/**
 * The control socket for administrators: a Unix stream socket that only root may use. A request is
 * a line of JSON, such as `{"command": "status"}`, and the answer is a line of JSON, too.
 */
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import {
  CommandFailure,
  EX_CANTCREAT,
  EX_NOPERM,
  EX_PROTOCOL,
  EX_TEMPFAIL,
  EX_UNAVAILABLE,
} from "@cm4all/command";
import { errorText, isErrno, makeDirectories, SOCK_STREAM } from "@cm4all/linux";
import type { Logger } from "../log/log.ts";
import { type ConnectionBounds, ConnectionLimit } from "../sockets/connection-limit.ts";
import { logServerErrors } from "../sockets/server-errors.ts";
import { tryRemoveStaleSocket } from "../sockets/stale-socket.ts";
import { type ControlRequest, parseRequest } from "./commands.ts";

/**
 * How long a command waits for the daemon by default: a daemon that hangs must not block commands.
 */
export const ANSWER_TIMEOUT_MS = 30_000;

type Handler = (request: ControlRequest) => Promise<unknown>;

/** The size limit of a request. A name of 4080 bytes fits even if JSON escapes each byte. */
const MAX_LINE_BYTES = 64 * 1024;

/** The maximum number of connections that wait to be accepted; net.core.somaxconn may lower it. */
const LISTEN_BACKLOG = 4096;

/** The limits for connections: programs that root runs can hang, too. */
const BOUNDS: ConnectionBounds = { count: 64, peerTimeoutMs: 10_000 };

/**
 * Listens on a socket at `path`, with mode 0600. The caller closes the server.
 * @throws CommandFailure
 */
export async function listenForControl(
  path: string,
  handler: Handler,
  log: Logger,
): Promise<Server> {
  // A peer that has shut down its writing side still gets the answer.
  const server = createServer({ allowHalfOpen: true }, (socket) => serve(socket, handler, limit));
  const limit = new ConnectionLimit(server, BOUNDS);
  try {
    await makeDirectories(dirname(path), 0o700);
    tryRemoveStaleSocket(path, SOCK_STREAM);
    server.listen({ path, backlog: LISTEN_BACKLOG });
    await once(server, "listening");
    chmodSync(path, 0o600);
    logServerErrors(server, "the control socket", log);
    return server;
  } catch (error) {
    // The next attempt would fail if this server went on listening.
    server.close();
    const reason = errorText(error);
    throw new CommandFailure(`cannot listen on ${path}: ${reason}`, EX_CANTCREAT, { cause: error });
  }
}

function serve(socket: Socket, handler: Handler, limit: ConnectionLimit): void {
  socket.on("error", () => socket.destroy());
  let size = 0;
  socket.on("data", (data) => {
    size += data.length;
    if (size > MAX_LINE_BYTES) socket.destroy();
  });
  const lines = createInterface({ input: socket });
  const endWithoutRequest = () => socket.destroy();
  // Errors of `lines` are those of the socket, which are handled above.
  lines.on("error", () => {});
  lines.once("close", endWithoutRequest);
  lines.once("line", async (line) => {
    lines.off("close", endWithoutRequest);
    if (!limit.working(socket)) return;
    let answer: unknown;
    try {
      answer = await handler(parseRequest(line));
    } catch (error) {
      const exitStatus = error instanceof CommandFailure ? error.exitStatus : EX_PROTOCOL;
      answer = { error: errorText(error), exitStatus };
    }
    limit.answering(socket);
    socket.write(`${JSON.stringify(answer)}\n`);
    // Closes the connection once the kernel has the answer, even if the peer neither reads it nor
    // closes the connection.
    socket.destroySoon();
  });
}

/**
 * Sends a request to the daemon at `path`, and returns its answer.
 * @throws CommandFailure (rejects), for example if there is no answer in time
 */
export async function askDaemon(
  path: string,
  request: object,
  timeoutMs = ANSWER_TIMEOUT_MS,
): Promise<unknown> {
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect(path);
    let received = "";
    socket.setEncoding("utf8");
    const timeout = setTimeout(() => {
      const seconds = timeoutMs / 1000;
      const text = `the daemon did not answer within ${seconds} s (${path})`;
      socket.destroy(new CommandFailure(text, EX_TEMPFAIL));
    }, timeoutMs);
    socket.once("close", () => clearTimeout(timeout));
    socket.once("connect", () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on("data", (chunk) => {
      received += chunk;
    });
    socket.once("end", () => resolve(received));
    socket.once("error", reject);
  }).catch((error: unknown) => {
    if (isErrno(error, "EACCES"))
      throw new CommandFailure(`only root may ask the daemon (${path})`, EX_NOPERM);
    if (isErrno(error, "ENOENT", "ECONNREFUSED"))
      throw new CommandFailure(
        `the daemon is not running (nobody listens on ${path})`,
        EX_UNAVAILABLE,
      );
    if (isErrno(error, "EAGAIN"))
      throw new CommandFailure(
        `the daemon accepts no more connections at the moment (${path})`,
        EX_TEMPFAIL,
      );
    // The daemon ended before it had read the request.
    if (isErrno(error, "ECONNRESET", "EPIPE")) return "";
    throw error;
  });
  if (!text.endsWith("\n"))
    throw new CommandFailure(
      `the daemon has closed the connection without ${text === "" ? "an answer" : "the end of its answer"} (${path})`,
      EX_UNAVAILABLE,
    );
  const answer: unknown = JSON.parse(text);
  if (typeof answer === "object" && answer !== null && "error" in answer) {
    const exitStatus = "exitStatus" in answer ? Number(answer.exitStatus) : EX_PROTOCOL;
    throw new CommandFailure(String(answer.error), exitStatus);
  }
  return answer;
}
