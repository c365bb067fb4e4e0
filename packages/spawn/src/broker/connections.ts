/**
 * Who is connected, and how many may be. Anybody on the host can connect, so peers that
 * have not been found trustworthy have a pool of their own, in which the oldest makes
 * room: they cannot keep a spawner from being served.
 */
import { uptime } from "node:os";
import { peerCredentials } from "@cm4all/linux";
import type { Context } from "./context.ts";
import type { Connection } from "./engine.ts";
import { isCapable, isTrusted, type Peer } from "./permission.ts";

/** Connections of peers that are not root and not configured, before their first datagram. */
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
  readonly #perUid = new Map<number, number>();
  /** Unproven and refused peers, the oldest first. */
  readonly #unproven = new Set<Client>();

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
      acceptedMs: uptime() * 1000,
    };
    const trusted = isTrusted(peer, this.#context.policy.allowed);
    const client: Client = {
      connection,
      peer,
      state: trusted ? "allowed" : "unproven",
      refusal: undefined,
    };
    this.#clients.set(connection, client);
    const { uid } = peer.credentials;
    const count = (this.#perUid.get(uid) ?? 0) + 1;
    this.#perUid.set(uid, count);
    if (trusted) this.#limitTrusted(client, count);
    else this.#limitUnproven(client, count);
  }

  #limitTrusted(client: Client, count: number): void {
    const { connections, connectionsPerUid } = this.#context.policy.quotas;
    if (this.#clients.size - this.#unproven.size > connections)
      this.#refuse(client, `quota reached: ${connections} connections`);
    else if (count > connectionsPerUid)
      this.#refuse(client, `quota reached: ${connectionsPerUid} connections of one uid`);
  }

  #limitUnproven(client: Client, count: number): void {
    this.#unproven.add(client);
    if (count > MAX_UNPROVEN_PER_UID) this.close(client);
    else this.#evictOldest();
  }

  #evictOldest(): void {
    if (this.#unproven.size <= MAX_UNPROVEN) return;
    for (const oldest of this.#unproven) {
      this.close(oldest);
      return;
    }
  }

  /** It gets an ERROR to its first datagram; until then it counts among the unproven. */
  #refuse(client: Client, reason: string): void {
    client.state = "refused";
    client.refusal = reason;
    this.#unproven.add(client);
    this.#evictOldest();
  }

  /** Looks at an unproven peer now. Gives why it is refused, or undefined. */
  prove(client: Client): string | undefined {
    if (client.state !== "unproven") return client.refusal;
    if (!isCapable(client.peer, this.#ownUserNamespace)) {
      client.state = "refused";
      client.refusal =
        "permission denied: a client must be root, have CAP_SYS_ADMIN, or be configured";
      return client.refusal;
    }
    client.state = "allowed";
    this.#unproven.delete(client);
    this.#limitTrusted(client, this.#perUid.get(client.peer.credentials.uid) ?? 0);
    return client.refusal;
  }

  close(client: Client): void {
    client.connection.close();
    this.forget(client.connection);
  }

  /** To be called for a connection that the engine has closed. */
  forget(connection: Connection): void {
    const client = this.#clients.get(connection);
    if (client === undefined) return;
    this.#clients.delete(connection);
    this.#unproven.delete(client);
    const { uid } = client.peer.credentials;
    const count = (this.#perUid.get(uid) ?? 1) - 1;
    if (count === 0) this.#perUid.delete(uid);
    else this.#perUid.set(uid, count);
  }
}
