/**
 * Decides who may make requests, by the rules of permission.ts and the proof of capable-peers.ts,
 * and how many clients may be connected. Everybody on the host can connect, so peers that have
 * not been found trustworthy have a pool of their own, in which the oldest makes room for the
 * newest: they cannot keep a spawner from being served.
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

/** The maximum number of connections of peers that have not been admitted. */
const MAX_UNPROVEN = 4096;
const MAX_UNPROVEN_PER_UID = 2048;

/** A connection and what is known about its peer. */
export interface Client {
  readonly connection: Connection;
  readonly peer: Peer;
  /** True if it has no capability, as far as a quick look shows. */
  readonly isStranger: boolean;
  /** `unproven`: its rights are checked when it makes a request. */
  state: "unproven" | "allowed" | "refused";
  /** True if it is root or was found capable; other clients are allowed by the configuration. */
  isPrivileged: boolean;
  /** The reason for which its first datagram is answered with an ERROR. */
  refusal: string | undefined;
}

export class Clients {
  readonly #capable: CapablePeers;
  #settings: Settings;
  readonly #allowed = new ClientPool<Client>();
  /** Peers whose rights were not checked yet, and refused peers. */
  readonly #unproven = new ClientPool<Client>();
  readonly #budget = new StrangerBudget();

  /** @param ownUserNamespace the inode of the daemon's user namespace */
  constructor(settings: Settings, ownUserNamespace: number) {
    this.#settings = settings;
    this.#capable = new CapablePeers(ownUserNamespace);
  }

  /** Applies new settings to clients that connect from now on. */
  configure(settings: Settings): void {
    this.#settings = settings;
  }

  get size(): number {
    return this.#allowed.size + this.#unproven.size;
  }

  /** Returns how many of the clients were found trustworthy. */
  get admitted(): number {
    return this.#allowed.size;
  }

  /** Returns the number of admitted clients of the uid that has the most. */
  get admittedOfOneUid(): number {
    return this.#allowed.mostOfOneUid;
  }

  /** Returns a list of all clients, which does not change when a client disconnects. */
  all(): Client[] {
    return [...this.#allowed, ...this.#unproven];
  }

  /**
   * Adds a new connection.
   * @returns undefined if the connection was closed, because strangers have used up their time
   */
  tryAdd(connection: Connection): Client | undefined {
    const peer: Peer = {
      credentials: peerCredentials(connection.fd),
      socketFd: connection.fd,
      listenerFd: connection.listenerFd,
      acceptedMs: monotonicMs(),
    };
    const isAllowed = isTrusted(peer, this.#settings.allowed);
    // The cheapest checks come first, and during a flood there are no others.
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

  /** Admits a trustworthy peer, unless there are too many of them. */
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

  /**
   * Closes the oldest connection if there are too many, unless its peer turns out to be
   * trustworthy.
   */
  #makeRoom(uid: number): void {
    const tooMany =
      this.#unproven.countOf(uid) > MAX_UNPROVEN_PER_UID
        ? this.#unproven.oldest(uid)
        : this.#unproven.size > MAX_UNPROVEN
          ? this.#unproven.oldest()
          : undefined;
    if (tooMany !== undefined && this.prove(tooMany) !== undefined) this.close(tooMany);
  }

  /**
   * Checks the rights of an unproven peer now.
   * @returns the reason why it is refused; undefined if it is not
   */
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

  /**
   * Closes the connection of a client and forgets the client. Unless the client is privileged,
   * what it sent is not read.
   */
  close(client: Client): void {
    if (client.isPrivileged) client.connection.close();
    else client.connection.closeUnread();
    this.forget(client);
  }

  /** Forgets a client. To be called when its connection has been closed. */
  forget(client: Client): void {
    this.#allowed.delete(client);
    if (this.#unproven.delete(client)) this.#budget.spend(monotonicMs());
  }
}
