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

  /** The descriptor's number for the moment; the cache owns it. */
  get(key: Key, open: () => Fd): number {
    const cached = this.#descriptors.get(key);
    if (cached !== undefined) {
      this.#descriptors.delete(key);
      this.#descriptors.set(key, cached);
      return cached.number;
    }
    const fd = open();
    this.add(key, fd);
    return fd.number;
  }

  /** Takes ownership of `fd`. */
  add(key: Key, fd: Fd): void {
    this.#descriptors.set(key, fd);
    if (this.#descriptors.size <= this.#maximum) return;
    for (const oldest of this.#descriptors.keys()) {
      this.delete(oldest);
      return;
    }
  }

  delete(key: Key): void {
    this.#descriptors.get(key)?.close();
    this.#descriptors.delete(key);
  }
}
