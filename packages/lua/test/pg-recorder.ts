/**
 * A server that lets nobody in: it asks for the password, records the client's messages, and
 * ends the session, so that a test can compare what two clients send for the same options.
 */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;

export interface Recorded {
  /** The startup message's parameters. */
  readonly startup: Record<string, string>;
  readonly password: string | undefined;
}

function message(type: string, body: Buffer): Buffer {
  const header = Buffer.alloc(5, type, "latin1");
  header.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

function error(code: string, text: string): Buffer {
  return message("E", Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${text}\0\0`));
}

const CLEARTEXT = message("R", Buffer.from([0, 0, 0, 3]));

export class PgRecorder implements AsyncDisposable {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  #records: Recorded[] = [];
  port = 0;

  /** @param directory for the Unix socket @param code the SQLSTATE of the refusal */
  static async start(directory: string, code = "28000"): Promise<PgRecorder> {
    const recorder = new PgRecorder();
    const serve = () => createServer((socket) => recorder.#serve(socket, code));
    const tcp = serve().listen(0, "127.0.0.1");
    await once(tcp, "listening");
    const address = tcp.address();
    recorder.port = address !== null && typeof address === "object" ? address.port : 0;
    const local = serve().listen(join(directory, `.s.PGSQL.${recorder.port}`));
    await once(local, "listening");
    recorder.#servers.push(tcp, local);
    return recorder;
  }

  /** Returns the messages since the last call, once all clients have gone. */
  async take(): Promise<Recorded[]> {
    while (this.#sockets.size > 0) await delay(1);
    const records = this.#records;
    this.#records = [];
    return records;
  }

  #serve(socket: Socket, code: string): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    let data = Buffer.alloc(0);
    let startup: Record<string, string> | undefined;
    const finish = (password: string | undefined) => {
      socket.removeAllListeners("data").removeAllListeners("end").resume();
      if (startup !== undefined) this.#records.push({ startup, password });
      socket.end(error(code, "recorded"));
    };
    socket.on("error", () => {});
    socket.on("end", () => finish(undefined));
    socket.on("data", (chunk) => {
      data = Buffer.concat([data, chunk]);
      for (;;) {
        const start = startup === undefined ? 0 : 1;
        if (data.length < start + 4 || data.length < start + data.readInt32BE(start)) return;
        const length = data.readInt32BE(start);
        const isEnd = start === 1 && data[0] === "X".charCodeAt(0);
        const body = data.subarray(start + 4, start + length);
        data = data.subarray(start + length);
        if (startup !== undefined) {
          finish(isEnd ? undefined : body.toString().replace(/\0$/, ""));
          return;
        } else if ([SSL_REQUEST, GSS_REQUEST].includes(body.readInt32BE(0))) {
          socket.write("N");
        } else {
          startup = parameters(body.subarray(4));
          socket.write(CLEARTEXT);
        }
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      server.close();
      await once(server, "close");
    }
  }
}

function parameters(body: Buffer): Record<string, string> {
  const words = body.toString().split("\0");
  const found: Record<string, string> = {};
  for (let i = 0; words[i]; i += 2) found[words[i] ?? ""] = words[i + 1] ?? "";
  return found;
}
