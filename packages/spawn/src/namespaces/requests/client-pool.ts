import type { Peer } from "./permission.ts";

/** Clients that are counted together, in the order in which they came. */
export class ClientPool<Client extends { readonly peer: Peer }> {
  readonly #clients = new Set<Client>();
  readonly #perUid = new Map<number, number>();

  get size(): number {
    return this.#clients.size;
  }

  [Symbol.iterator](): IterableIterator<Client> {
    return this.#clients.values();
  }

  countOf(uid: number): number {
    return this.#perUid.get(uid) ?? 0;
  }

  add(client: Client): void {
    this.#clients.add(client);
    const { uid } = client.peer.credentials;
    this.#perUid.set(uid, this.countOf(uid) + 1);
  }

  /** Without effect for a client that is not in it. */
  delete(client: Client): void {
    if (!this.#clients.delete(client)) return;
    const { uid } = client.peer.credentials;
    const left = this.countOf(uid) - 1;
    if (left === 0) this.#perUid.delete(uid);
    else this.#perUid.set(uid, left);
  }

  /** The client that came first, of all or of one uid. */
  oldest(uid?: number): Client | undefined {
    for (const client of this.#clients)
      if (uid === undefined || client.peer.credentials.uid === uid) return client;
    return undefined;
  }
}
