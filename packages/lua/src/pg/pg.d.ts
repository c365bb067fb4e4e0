/** The modules of node-postgres that contain its client, without the pool and the rest. */
declare module "pg/lib/client.js" {
  import { Client } from "pg";
  export default Client;
}
declare module "pg/lib/connection.js" {
  import type { EventEmitter } from "node:events";
  import type { Socket } from "node:net";
  import type { ConnectionOptions } from "node:tls";

  interface StreamEvents {
    on(event: string, listener: (data: Buffer) => void): unknown;
  }

  /** The class of `client.connection`, which exchanges the protocol's messages over a socket. */
  export default class Connection extends EventEmitter {
    readonly stream: Socket;
    /** TLS options; true for the defaults. */
    ssl: ConnectionOptions | boolean;
    /** Starts TLS, once the server has agreed to it. */
    upgradeToSSL: (host: string, onError: (error: Error) => void) => void;
    /** Parses the messages of a stream; only the events of the stream are used. */
    attachListeners: (stream: StreamEvents) => void;
    constructor(config: { ssl: ConnectionOptions | boolean });
    connect(path: string): void;
    connect(port: number, host: string): void;
    requestSsl(): void;
    cancel(processId: number, secretKey: number): void;
  }
}
