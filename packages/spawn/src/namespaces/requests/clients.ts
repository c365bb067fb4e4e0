/**
 * Decides who may ask, by the rules of permission.ts and the proof of capable-peers.ts, and how
 * many may be connected. Anybody on the host can connect, so peers that
 * have not been found trustworthy have a pool of their own, in which the oldest makes
 * room: they cannot keep a spawner from being served.
 */
import { peerCredentials } from "@cm4all/linux";
import { monotonicMs } from "../../thread/event-loop.ts";
import type { Connection } from "../connections/connection.ts";
import { isSystemError } from "../errors.ts";
import type { Settings } from "../settings.ts";
import { CapablePeers } from "./capable-peers.ts";
import { ClientPool } from "./client-pool.ts";
import { isTrusted, type Peer } from "./permission.ts";
import { StrangerBudget } from "./stranger-budget.ts";

/** Connections of peers that have not been let in. */
const MAX_UNPROVEN = 4096;
const MAX_UNPROVEN_PER_UID = 2048;

/** A connection and what is known of its peer. */
export interface Client {
  readonly connection: Connection;
  readonly peer: Peer;
  /** Whether it has no capability, as far as can be told at a glance. */
  readonly isStranger: boolean;
  /** `unproven`: to be looked at when it asks for something. */
  state: "unproven" | "allowed" | "refused";
  /** Whether it is root, or was found capable; others are allowed by the configuration. */
  isPrivileged: boolean;
  /** Why its first datagram is answered with an ERROR. */
  refusal: string | undefined;
}

export class Clients {
  readonly #capable: CapablePeers;
  #settings: Settings;
  readonly #allowed = new ClientPool<Client>();
  /** Unproven and refused peers. */
  readonly #unproven = new ClientPool<Client>();
  readonly #budget = new StrangerBudget();

  /** @param ownUserNamespace the inode of the daemon's user namespace */
  constructor(settings: Settings, ownUserNamespace: number) {
    this.#settings = settings;
    this.#capable = new CapablePeers(ownUserNamespace);
  }

  /** For who connects from now on. */
  configure(settings: Settings): void {
    this.#settings = settings;
  }

  get size(): number {
    return this.#allowed.size + this.#unproven.size;
  }

  /** Of these, how many were found trustworthy. */
  get admitted(): number {
    return this.#allowed.size;
  }

  /** Of these, how many the uid has that has most of them. */
  get admittedOfOneUid(): number {
    return this.#allowed.mostOfOneUid;
  }

  /** Returns all clients, a list that stays as it is when one goes. */
  all(): Client[] {
    return [...this.#allowed, ...this.#unproven];
  }

  /**
   * Takes up a new connection.
   * @returns undefined if there is no time for its peer, who may ask for nothing anyway: the
   *   connection is closed then
   */
  tryAdd(connection: Connection): Client | undefined {
    const peer: Peer = {
      credentials: peerCredentials(connection.fd),
      socketFd: connection.fd,
      listenerFd: connection.listenerFd,
      acceptedMs: monotonicMs(),
    };
    const isAllowed = isTrusted(peer, this.#settings.allowed);
    // The cheapest looks first, and no further one in a flood.
    const isFlooded = !isAllowed && this.#budget.isSpent(peer.acceptedMs);
    const isStranger = !isAllowed && !this.#capable.seemsCapable(peer, isFlooded);
    if (isStranger && isFlooded) {
      connection.closeUnread();
      return undefined;
    }
    const client: Client = {
      connection,
      peer,
      isStranger,
      state: "unproven",
      isPrivileged: peer.credentials.uid === 0,
      refusal: undefined,
    };
    if (isAllowed) this.#allow(client);
    if (client.state !== "allowed") {
      this.#unproven.add(client);
      this.#makeRoom(peer.credentials.uid);
    }
    return client;
  }

  /** Lets a trustworthy peer in, unless there are too many of them. */
  #allow(client: Client): void {
    const { connections, connectionsPerUid } = this.#settings.quotas;
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

  /** Closes the oldest of too many, or lets it in if it turns out to be trustworthy. */
  #makeRoom(uid: number): void {
    const tooMany =
      this.#unproven.countOf(uid) > MAX_UNPROVEN_PER_UID
        ? this.#unproven.oldest(uid)
        : this.#unproven.size > MAX_UNPROVEN
          ? this.#unproven.oldest()
          : undefined;
    if (tooMany !== undefined && this.prove(tooMany) !== undefined) this.close(tooMany);
  }

  /** Looks at an unproven peer now. @returns why it is refused; undefined if it is not */
  prove(client: Client): string | undefined {
    if (client.state !== "unproven") return client.refusal;
    try {
      if (this.#capable.isCapable(client.peer)) {
        client.isPrivileged = true;
        this.#allow(client);
      } else
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

  /** Closes the connection of a client, of a stranger unread, and forgets it. */
  close(client: Client): void {
    if (client.isPrivileged) client.connection.close();
    else client.connection.closeUnread();
    this.forget(client);
  }

  /** To be called for a client whose connection is closed. */
  forget(client: Client): void {
    this.#allowed.delete(client);
    if (this.#unproven.delete(client)) this.#budget.spend(monotonicMs());
  }
}
