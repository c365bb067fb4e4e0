/**
 * Who is connected, and how many may be. Anybody on the host can connect, so peers that
 * have not been found trustworthy have a pool of their own, in which the oldest makes
 * room: they cannot keep a spawner from being served.
 */
import { peerCredentials } from "@cm4all/linux";
import { monotonicMs } from "../thread/event-loop.ts";
import { ClientPool } from "./client-pool.ts";
import type { Context } from "./context.ts";
import type { Connection } from "./engine.ts";
import { isSystemError } from "./errors.ts";
import { isCapable, isTrusted, type Peer } from "./permission.ts";

/** Connections of peers that have not been let in. */
export const MAX_UNPROVEN = 1024;
const MAX_UNPROVEN_PER_UID = 64;

/** A connection and what is known of its peer. */
export interface Client {
  readonly connection: Connection;
  readonly peer: Peer;
  /** `unproven`: to be looked at when it asks for something. */
  state: "unproven" | "allowed" | "refused";
  /** Why its first datagram is answered with an ERROR. */
  refusal: string | undefined;
}

export class Connections {
  readonly #context: Context;
  readonly #ownUserNamespace: number;
  readonly #clients = new Map<Connection, Client>();
  readonly #allowed = new ClientPool();
  /** Unproven and refused peers. */
  readonly #unproven = new ClientPool();

  /** @param ownUserNamespace the inode of the daemon's user namespace */
  constructor(context: Context, ownUserNamespace: number) {
    this.#context = context;
    this.#ownUserNamespace = ownUserNamespace;
  }

  get size(): number {
    return this.#clients.size;
  }

  all(): IterableIterator<Client> {
    return this.#clients.values();
  }

  get(connection: Connection): Client | undefined {
    return this.#clients.get(connection);
  }

  add(connection: Connection): void {
    const peer: Peer = {
      credentials: peerCredentials(connection.fd),
      socketFd: connection.fd,
      acceptedMs: monotonicMs(),
    };
    const client: Client = { connection, peer, state: "unproven", refusal: undefined };
    this.#clients.set(connection, client);
    this.#unproven.add(client);
    if (isTrusted(peer, this.#context.policy.allowed)) this.#allow(client);
    this.#makeRoom(peer.credentials.uid);
  }

  /** Lets a trustworthy peer in, unless there are too many of them. */
  #allow(client: Client): void {
    const { connections, connectionsPerUid } = this.#context.policy.quotas;
    if (this.#allowed.size >= connections)
      this.#refuse(client, `quota reached: ${connections} connections`);
    else if (this.#allowed.countOf(client.peer.credentials.uid) >= connectionsPerUid)
      this.#refuse(client, `quota reached: ${connectionsPerUid} connections of one uid`);
    else {
      this.#unproven.delete(client);
      this.#allowed.add(client);
      client.state = "allowed";
    }
  }

  #refuse(client: Client, reason: string): void {
    client.state = "refused";
    client.refusal = reason;
  }

  /** One that turns out to be trustworthy is let in instead of closed. */
  #makeRoom(uid: number): void {
    const tooMany =
      this.#unproven.countOf(uid) > MAX_UNPROVEN_PER_UID
        ? this.#unproven.oldest(uid)
        : this.#unproven.size > MAX_UNPROVEN
          ? this.#unproven.oldest()
          : undefined;
    if (tooMany !== undefined && this.prove(tooMany) !== undefined) this.close(tooMany);
  }

  /** Looks at an unproven peer now. Gives why it is refused, or undefined. */
  prove(client: Client): string | undefined {
    if (client.state !== "unproven") return client.refusal;
    try {
      if (isCapable(client.peer, this.#ownUserNamespace)) this.#allow(client);
      else
        this.#refuse(
          client,
          "permission denied: a client must be root, have CAP_SYS_ADMIN, or be configured",
        );
    } catch (error) {
      // EMFILE and the like.
      if (!isSystemError(error)) throw error;
      this.#refuse(client, `cannot look at the client: ${error.message}`);
    }
    return client.refusal;
  }

  close(client: Client): void {
    if (client.state === "allowed") client.connection.close();
    else client.connection.closeUnread();
    this.forget(client.connection);
  }

  /** To be called for a connection that the engine has closed. */
  forget(connection: Connection): void {
    const client = this.#clients.get(connection);
    if (client === undefined) return;
    this.#clients.delete(connection);
    this.#allowed.delete(client);
    this.#unproven.delete(client);
  }
}
