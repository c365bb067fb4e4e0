/** Asks a server to cancel the statement that a session executes. */
import type { Client } from "pg";
import type Connection from "pg/lib/connection.js";

/** The parts of node-postgres's client that its types do not declare. */
export interface RawClient {
  readonly connection: Connection;
  readonly host: string;
  readonly port: number;
  readonly processID: number;
  readonly secretKey: number;
  /** The parameters of the startup message. */
  getStartupConf: () => Record<string, string>;
}

/** Returns the client with those of its parts that the types of `pg` do not declare. */
export function rawClient(client: Client): RawClient {
  return client as unknown as RawClient;
}

/**
 * Sends a CancelRequest over a new connection. The server closes this connection when it has
 * signalled the session: no statement that is sent after that is cancelled.
 * @returns a promise that resolves when the connection is closed, even if the server cannot be
 * reached, and a function that abandons the request
 * @see PostgreSQL manual, "Canceling Requests in Progress"
 */
export function requestCancel(client: Client): { closed: Promise<void>; abandon: () => void } {
  let connection: Connection | undefined;
  let isAbandoned = false;
  const send = async () => {
    const { default: PgConnection } = await import("pg/lib/connection.js");
    if (isAbandoned) return;
    const { host, port, processID, secretKey, connection: session } = rawClient(client);
    const { ssl } = session;
    const made = new PgConnection({ ssl });
    connection = made;
    await new Promise<void>((resolve) => {
      const cancel = () => made.cancel(processID, secretKey);
      made.on("connect", () => (ssl ? made.requestSsl() : cancel()));
      made.on("sslconnect", cancel);
      made.on("error", () => made.stream.destroy());
      made.on("end", resolve);
      if (host.startsWith("/")) made.connect(`${host}/.s.PGSQL.${port}`);
      else made.connect(port, host);
    });
  };
  return {
    closed: send(),
    abandon: () => {
      isAbandoned = true;
      connection?.stream.destroy();
    },
  };
}
