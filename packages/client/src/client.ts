import { encodeRequest, encodeUserMaps, SOCKET_NAME } from "@cm4all/spawn-protocol";
import { type Answer, Connection } from "./connection.ts";
import { SpawnError } from "./errors.ts";
import { takeGrant } from "./grant.ts";
import type { Handle } from "./handle.ts";
import type { ClientOptions, Grant, Wanted } from "./types.ts";

const DEFAULT_SOCKET = `@${SOCKET_NAME}`;
const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * A client of the spawn daemon. It has one connection, which does not keep the process alive. It
 * sends one request at a time over the connection; further requests wait.
 *
 * Every request is complete in itself, so it can be repeated: if the daemon has closed the
 * connection (for example because the daemon was restarted), the request is sent once more over a
 * new connection.
 */
export class SpawnClient {
  readonly #socket: string;
  readonly #timeoutMs: number;
  #connection: Connection | undefined;
  /** Settles when all work that was enqueued so far is done. */
  #queue: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(options: ClientOptions = {}) {
    this.#socket = options.socket ?? DEFAULT_SOCKET;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  /** Connects now, instead of at the first request. @throws SpawnError */
  async connect(): Promise<void> {
    await this.#enqueue((deadlineMs) => this.#connect(deadlineMs));
  }

  /**
   * Asks for namespaces of `name`. The first request for a name and type creates the namespace;
   * later requests get the same namespace while it exists. The caller closes the grant.
   * @param name 1 to 4080 bytes from 0x20 to 0x7f
   * @throws SpawnError if the request is not granted
   * @throws RangeError for a name that is not allowed, or if nothing is asked for
   */
  async request<const W extends Wanted>(name: string, wanted: W): Promise<Grant<W>> {
    const { user = false, ...others }: Wanted = wanted;
    const maps = user === false ? undefined : encodeUserMaps(user === true ? {} : user);
    const datagram = encodeRequest({ ...others, name, user: maps });
    return await this.#enqueue(async (deadlineMs) =>
      takeGrant(await this.#transact(datagram, deadlineMs), wanted),
    );
  }

  /**
   * Asks for a lease of `name`: the namespaces of that name stay until the lease is closed or the
   * process ends. The caller closes the lease.
   */
  async lease(name: string): Promise<Handle> {
    return (await this.request(name, { lease: true })).lease;
  }

  /** Closes the connection; requests under way fail. Grants stay open. */
  close(): void {
    this.#isClosed = true;
    this.#connection?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Runs `work` after all earlier work. The time limit starts when `work` starts. */
  #enqueue<T>(work: (deadlineMs: number) => Promise<T>): Promise<T> {
    const result = this.#queue.then(() => work(performance.now() + this.#timeoutMs));
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #connect(deadlineMs: number): Promise<Connection> {
    if (this.#isClosed) throw new SpawnError("closed", "the client was closed");
    if (this.#connection?.isOpen) return this.#connection;
    this.#connection = await Connection.open(this.#socket, deadlineMs);
    if (this.#isClosed) this.#connection.close();
    return this.#connection;
  }

  async #transact(datagram: Uint8Array, deadlineMs: number): Promise<Answer> {
    try {
      return await (await this.#connect(deadlineMs)).transact(datagram, deadlineMs);
    } catch (error) {
      const isRepeatable = error instanceof SpawnError && error.kind === "closed";
      if (!isRepeatable) throw error;
    }
    return await (await this.#connect(deadlineMs)).transact(datagram, deadlineMs);
  }
}

/** Returns a connected client, which the caller closes. @throws SpawnError */
export async function connect(options: ClientOptions = {}): Promise<SpawnClient> {
  const client = new SpawnClient(options);
  await client.connect();
  return client;
}
