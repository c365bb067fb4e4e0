import type { Peer } from "./permission.ts";

/** Clients that are counted together, in the order in which they connected. */
export class ClientPool<Client extends { readonly peer: Peer }> {
  readonly #clients = new Set<Client>();
  readonly #byUid = new Map<number, Set<Client>>();

  get size(): number {
    return this.#clients.size;
  }

  [Symbol.iterator](): IterableIterator<Client> {
    return this.#clients.values();
  }

  /** Returns how many clients of a uid there are. */
  countOf(uid: number): number {
    return this.#byUid.get(uid)?.size ?? 0;
  }

  /** Returns the number of clients of the uid that has the most. */
  get mostOfOneUid(): number {
    let most = 0;
    for (const { size } of this.#byUid.values()) most = Math.max(most, size);
    return most;
  }

  /** Adds a client as the latest one. */
  add(client: Client): void {
    this.#clients.add(client);
    const { uid } = client.peer.credentials;
    const those = this.#byUid.get(uid);
    if (those === undefined) this.#byUid.set(uid, new Set([client]));
    else those.add(client);
  }

  /** Removes a client. @returns whether it was in the pool */
  delete(client: Client): boolean {
    if (!this.#clients.delete(client)) return false;
    const { uid } = client.peer.credentials;
    const those = this.#byUid.get(uid);
    those?.delete(client);
    if (those?.size === 0) this.#byUid.delete(uid);
    return true;
  }

  /** Returns the client that connected first, of all clients or of those of one uid. */
  oldest(uid?: number): Client | undefined {
    const those = uid === undefined ? this.#clients : this.#byUid.get(uid);
    for (const client of those ?? []) return client;
    return undefined;
  }
}
