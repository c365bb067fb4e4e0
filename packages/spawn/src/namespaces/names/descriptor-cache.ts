import type { Fd } from "@cm4all/linux";

/**
 * Open descriptors of namespaces, so that a repeated request need not open its files.
 * Bounded: the least recently used is closed first. Nothing is lost with it, because
 * the store opens it again.
 */
export class DescriptorCache<Key extends object> {
  readonly #maximum: number;
  // A Map keeps the order of insertion: the first is the least recently used.
  readonly #descriptors = new Map<Key, Fd>();

  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  get size(): number {
    return this.#descriptors.size;
  }

  /** The descriptor's number for the moment, if there is one; the cache owns it. */
  tryGet(key: Key): number | undefined {
    const cached = this.#descriptors.get(key);
    if (cached === undefined) return undefined;
    this.#descriptors.delete(key);
    this.#descriptors.set(key, cached);
    return cached.number;
  }

  /** Takes ownership of `fd`, and returns its number for the moment. */
  add(key: Key, fd: Fd): number {
    this.#descriptors.set(key, fd);
    if (this.#descriptors.size > this.#maximum)
      for (const oldest of this.#descriptors.keys()) {
        this.delete(oldest);
        break;
      }
    return fd.number;
  }

  delete(key: Key): void {
    this.#descriptors.get(key)?.close();
    this.#descriptors.delete(key);
  }
}
