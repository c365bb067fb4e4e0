import type { Fd } from "@cm4all/linux";
import { RecencyMap } from "./recency-map.ts";

/**
 * Open descriptors of namespaces, so that a repeated request need not open its files.
 * Bounded: the least recently used is closed first. Nothing is lost with it, because
 * the store opens it again.
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

  /** The descriptor's number for the moment, if there is one; the cache owns it. */
  tryGet(key: Key): number | undefined {
    return this.#descriptors.use(key)?.number;
  }

  /** Takes ownership of `fd`, and returns its number for the moment. */
  add(key: Key, fd: Fd): number {
    this.#descriptors.set(key, fd);
    const { oldest } = this.#descriptors;
    if (this.#descriptors.size > this.#maximum && oldest !== undefined) this.delete(oldest[0]);
    return fd.number;
  }

  /** Closes the descriptor of a key, if there is one, and forgets it. */
  delete(key: Key): void {
    this.#descriptors.get(key)?.close();
    this.#descriptors.delete(key);
  }
}
