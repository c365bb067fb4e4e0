import type { Fd } from "@cm4all/linux";
import { RecencyMap } from "./recency-map.ts";

/**
 * Keeps descriptors of namespaces open, so that a repeated request need not open their files. Their
 * number is limited: the least recently used descriptor is closed first. Nothing is lost, because
 * the store can open the namespace again.
 */
export class DescriptorCache<Key extends object> {
  readonly #maximum: number;
  readonly #descriptors = new RecencyMap<Key, Fd>();

  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  get size(): number {
    return this.#descriptors.size;
  }

  /**
   * Returns the number of the key's descriptor, if there is one. The cache owns the descriptor
   * and may close it when another is added.
   */
  tryGet(key: Key): number | undefined {
    return this.#descriptors.use(key)?.number;
  }

  /**
   * Takes ownership of `fd`, and returns its number. The cache may close it when another is
   * added.
   */
  add(key: Key, fd: Fd): number {
    this.#descriptors.set(key, fd);
    const { oldest } = this.#descriptors;
    if (this.#descriptors.size > this.#maximum && oldest !== undefined) this.delete(oldest[0]);
    return fd.number;
  }

  /** Closes and forgets the descriptor of a key, if there is one. */
  delete(key: Key): void {
    this.#descriptors.get(key)?.close();
    this.#descriptors.delete(key);
  }
}
