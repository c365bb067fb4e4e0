/** Stands between a client and PostgreSQL, and can cut the connection during an answer. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Postgres } from "@cm4all/testing";

export class PgProxy implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "pg-proxy-"));
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #behind: string;
  #cut: { readonly text: string; bytes: number } | undefined;
  /** True while the data of clients is dropped. */
  isDeaf = false;

  private constructor(behind: Postgres) {
    this.#behind = join(behind.host, `.s.PGSQL.${behind.port}`);
    this.#server = createServer((client) => this.#join(client));
  }

  static async start(behind: Postgres): Promise<PgProxy> {
    const proxy = new PgProxy(behind);
    proxy.#server.listen(join(proxy.#directory, ".s.PGSQL.5432"));
    await once(proxy.#server, "listening");
    return proxy;
  }

  get conninfo(): string {
    return `host=${this.#directory} user=postgres dbname=postgres`;
  }

  /**
   * Ends the session in which a client next sends this text, after passing on this number of bytes
   * of the answer. If the number is negative, the message with the text is not passed on.
   */
  cutAt(text: string, bytes: number): void {
    this.#cut = { text, bytes };
  }

  #join(client: Socket): void {
    const server = createConnection(this.#behind);
    let isCutting = false;
    const end = () => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on("error", end).on("close", end);
    }
    client.on("data", (data) => {
      if (this.#cut !== undefined && data.includes(this.#cut.text)) isCutting = true;
      if (isCutting && (this.#cut?.bytes ?? 0) < 0) end();
      else if (!this.isDeaf) server.write(data);
    });
    server.on("data", (data) => {
      const cut = isCutting ? this.#cut : undefined;
      client.write(cut === undefined ? data : data.subarray(0, cut.bytes));
      if (cut === undefined) return;
      cut.bytes -= data.length;
      if (cut.bytes > 0) return;
      this.#cut = undefined;
      // end() still delivers the data that was written before.
      client.end(end);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
    rmSync(this.#directory, { recursive: true });
  }
}
