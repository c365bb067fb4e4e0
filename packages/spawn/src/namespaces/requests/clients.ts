/**
 * Decides who may make requests, by the rules of permission.ts and the proof of capable-peers.ts,
 * and how many clients may be connected. Everybody on the host can connect, so peers that have
 * not been found trustworthy have a pool of their own, in which the oldest makes room for the
 * newest: they cannot keep a spawner from being served.
 */
import { Fd, peerCredentials } from "@cm4all/linux";
import { monotonicMs } from "../../thread/event-loop.ts";
import { type Accepted, Connection } from "../connections/connection.ts";
import type { Shared } from "../connections/shared.ts";
import { isSystemError } from "../errors.ts";
import type { Settings } from "../settings.ts";
import { CapablePeers } from "./capable-peers.ts";
import { ClientPool } from "./client-pool.ts";
import { isTrusted, type Peer } from "./permission.ts";
import { StrangerBudget } from "./stranger-budget.ts";
import { WaitingRoom } from "./waiting-room.ts";

/** The maximum number of connections of peers that have not been admitted. */
const MAX_UNPROVEN = 4096;
export const MAX_UNPROVEN_PER_UID = 2048;

/**
 * The maximum numbers of unproven connections, of one uid and of all uids together, that are
 * spared the waiting room because their peers seem capable. Further peers have to be capable in
 * the daemon's user namespace: in a user namespace of their own, everybody is.
 */
export const SEEMINGLY_CAPABLE_PER_UID = 64;
export const SEEMINGLY_CAPABLE = 256;

/** A connection and what is known about its peer. */
export interface Client {
  readonly connection: Connection;
  readonly peer: Peer;
  /** True if the peer is neither trusted nor capable, as far as a quick look shows. */
  readonly isStranger: boolean;
  /** `unproven`: its rights are checked when it makes a request. */
  state: "unproven" | "allowed" | "refused";
  /**
   * True if the peer is root or was found capable; other clients in the state `allowed` are
   * allowed by the configuration.
   */
  isPrivileged: boolean;
  /** The reason why the client's first datagram is answered with an ERROR. */
  refusal: string | undefined;
}

function newClient(connection: Connection, peer: Peer, isStranger: boolean): Client {
  const isPrivileged = peer.credentials.uid === 0;
  const state = "unproven";
  return { connection, peer, isStranger, state, isPrivileged, refusal: undefined };
}

function isOlder(peer: Peer | undefined, other: Peer): boolean {
  return peer !== undefined && peer.acceptedMs < other.acceptedMs;
}

export class Clients {
  readonly #capable: CapablePeers;
  #settings: Settings;
  readonly #allowed = new ClientPool<Client>();
  /** Peers whose rights have not been checked yet, and refused peers. */
  readonly #unproven = new ClientPool<Client>();
  /** Strangers whose turn has not come yet, or who have sent nothing. */
  readonly #waiting: WaitingRoom;
  #isWaitingAllowed = true;
  readonly #budget = new StrangerBudget();
  readonly #shared: Shared;
  readonly #goOn: (client: Client) => void;

  /**
   * @param ownUserNamespace the inode of the daemon's user namespace
   * @param goOn called for a client that has waited, to answer what it has sent
   */
  constructor(
    settings: Settings,
    ownUserNamespace: number,
    shared: Shared,
    goOn: (client: Client) => void,
  ) {
    this.#settings = settings;
    this.#shared = shared;
    this.#goOn = goOn;
    this.#waiting = new WaitingRoom(
      shared.loop,
      (peer) => this.#serveStranger(this.#comeBack(peer)),
      shared.onError,
    );
    this.#capable = new CapablePeers(ownUserNamespace);
  }

  /** Applies new settings. Clients that were already admitted stay. */
  configure(settings: Settings): void {
    this.#settings = settings;
  }

  get size(): number {
    return this.#allowed.size + this.#unproven.size + this.#waiting.size;
  }

  /** Returns the number of admitted clients. */
  get admitted(): number {
    return this.#allowed.size;
  }

  /** Returns the number of admitted clients of the uid that has the most. */
  get admittedOfOneUid(): number {
    return this.#allowed.mostOfOneUid;
  }

  /**
   * Returns a list of all clients that are not in the waiting room. The list does not change when
   * a client disconnects.
   */
  all(): Client[] {
    return [...this.#allowed, ...this.#unproven];
  }

  /**
   * Adds a new connection.
   * @throws SyscallError; the caller keeps the connection then
   */
  tryAdd(connection: Connection): Accepted<Client> {
    const peer: Peer = {
      credentials: peerCredentials(connection.fd),
      socketFd: connection.fd,
      listenerFd: connection.listenerFd,
      acceptedMs: monotonicMs(),
    };
    const isAllowed = isTrusted(peer, this.#settings.allowed);
    // The cheapest checks come first, and during a flood there are no others.
    const isFlooded = !isAllowed && this.#budget.isSpent(peer.acceptedMs);
    const { uid } = peer.credentials;
    const isStrict =
      isFlooded ||
      this.#unproven.size >= SEEMINGLY_CAPABLE ||
      this.#unproven.countOf(uid) >= SEEMINGLY_CAPABLE_PER_UID;
    const isStranger = !isAllowed && !this.#capable.seemsCapable(peer, isStrict);
    if (isStranger && isFlooded) {
      connection.closeUnread();
      return "closed";
    }
    if (isStranger && this.#isWaitingAllowed) {
      // A stranger waits even if it has already made a request: a spawner in the queue comes first.
      this.#letWait(peer, connection);
      this.#ifPossible(() => this.#makeRoom(uid));
      return "waits";
    }
    const client = newClient(connection, peer, isStranger);
    if (isAllowed) this.#allow(client);
    if (client.state !== "allowed") {
      this.#unproven.add(client);
      this.#ifPossible(() => this.#makeRoom(uid));
    }
    return client;
  }

  /** @throws SyscallError; the caller keeps the connection then */
  #letWait(peer: Peer, connection: Connection): void {
    try {
      this.#waiting.add(peer);
    } catch (error) {
      // The connection ends, and counts against the budget, which limits the time lost to failures.
      this.#budget.spend(peer.acceptedMs);
      throw error;
    }
    connection.release();
  }

  /** Lets a stranger wait again if nothing has arrived from it after all. @throws SyscallError */
  fellSilent(client: Client): void {
    if (!client.isStranger || client.state !== "unproven" || !this.#isWaitingAllowed) return;
    this.#letWait(client.peer, client.connection);
    this.#unproven.delete(client);
  }

  /** Turns a stranger that has waited back into a client. */
  #comeBack(peer: Peer): Client {
    const connection = new Connection(new Fd(peer.socketFd), peer.listenerFd, this.#shared);
    const client = newClient(connection, peer, true);
    this.#unproven.add(client);
    return client;
  }

  /**
   * Serves a stranger that has waited. If the budget of strangers is used up, the connection is
   * closed instead, unless the peer has the capability by now.
   */
  #serveStranger(client: Client): void {
    try {
      if (this.#budget.isSpent(monotonicMs()) && !this.#capable.seemsCapable(client.peer, true))
        this.close(client);
      else this.#goOn(client);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#shared.onError(error);
      client.connection.abandon();
      this.forget(client);
    }
  }

  /** Serves all strangers that wait, because the service stops. From now on, nobody waits. */
  endWaiting(): void {
    this.#isWaitingAllowed = false;
    this.#ifPossible(() => {
      for (let peer = this.#waiting.oldest(); peer !== undefined; peer = this.#waiting.oldest()) {
        this.#waiting.take(peer);
        this.#serveStranger(this.#comeBack(peer));
      }
    });
  }

  /** Does work for other clients. Its failure must not affect the client that is being served. */
  #ifPossible(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#shared.onError(error);
    }
  }

  /** Admits a trustworthy peer, unless too many clients have been admitted. */
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
    const those = this.#tooMany(uid);
    if (those === undefined) return;
    const oldest = this.#unproven.oldest(those.uid);
    const waiting = this.#waiting.oldest(those.uid);
    if (waiting === undefined || isOlder(oldest?.peer, waiting)) {
      if (oldest !== undefined && this.prove(oldest) !== undefined) this.close(oldest);
      return;
    }
    this.#waiting.take(waiting);
    const client = this.#comeBack(waiting);
    if (this.prove(client) === undefined) this.#goOn(client);
    else this.close(client);
  }

  /**
   * Returns which connections are too many: those of one uid, or all (`{}`); undefined if there
   * are not too many.
   */
  #tooMany(uid: number): { readonly uid?: number } | undefined {
    const count = this.#unproven.countOf(uid) + this.#waiting.countOf(uid);
    if (count > MAX_UNPROVEN_PER_UID) return { uid };
    return this.#unproven.size + this.#waiting.size > MAX_UNPROVEN ? {} : undefined;
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
          "permission denied: a client must be root, have CAP_SYS_ADMIN, or be allowed by the configuration",
        );
    } catch (error) {
      // EMFILE and the like.
      if (!isSystemError(error)) throw error;
      this.#refuse(client, `cannot check the rights of the client: ${error.message}`);
    }
    return client.refusal;
  }

  /**
   * Closes the connection of a client and forgets the client. A client that is not privileged may
   * have sent descriptors; see Connection.closeUnread.
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
