/** All names, and which of them nobody has used for how long. */

import { monotonicMs } from "../thread/event-loop.ts";
import type { Context } from "./context.ts";
import { Entry, type EntryEvents } from "./entry.ts";
import { isSystemError, Refusal } from "./errors.ts";

/** What the registry tells of. */
export interface RegistryEvents {
  /** An init ended by itself. */
  initDied(entry: Entry): void;
  /** A name was used, or lost its last lease: its time runs from now on. */
  touched(): void;
}

export class Registry implements EntryEvents {
  readonly #context: Context;
  readonly #events: RegistryEvents;
  readonly #entries = new Map<string, Entry>();
  /**
   * Names without a lease and when each was used last, milliseconds of the monotonic
   * clock, in this order: whoever is used goes to the end.
   */
  readonly #idle = new Map<Entry, number>();

  constructor(context: Context, events: RegistryEvents) {
    this.#context = context;
    this.#events = events;
  }

  get size(): number {
    return this.#entries.size;
  }

  entries(): IterableIterator<Entry> {
    return this.#entries.values();
  }

  get(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  /** The name's entry, a new one where there is none. @throws Refusal at the quota */
  getOrCreate(name: string): Entry {
    const existing = this.#entries.get(name);
    if (existing !== undefined) return existing;
    const limit = this.#context.policy.quotas.names;
    if (this.#entries.size >= limit) throw new Refusal(`quota reached: ${limit} names`);
    return this.create(name);
  }

  /** A new entry, whatever the quota says: for what a restart finds. */
  create(name: string, directory = this.#context.store.createName(name)): Entry {
    const entry = new Entry(this.#context, name, directory, this);
    this.#entries.set(name, entry);
    return entry;
  }

  /** The name was used now. */
  touch(entry: Entry): void {
    this.#idle.delete(entry);
    if (!entry.isLeased) this.#idle.set(entry, monotonicMs());
    this.#events.touched();
  }

  leasesClosed(entry: Entry): void {
    this.touch(entry);
  }

  initDied(entry: Entry): void {
    this.#events.initDied(entry);
  }

  /** When the name that was used longest ago was used; undefined where all are leased. */
  oldestUseMs(): number | undefined {
    for (const usedMs of this.#idle.values()) return usedMs;
    return undefined;
  }

  /** Names that were last used at `untilMs` or before. */
  idleUntil(untilMs: number): Entry[] {
    const entries: Entry[] = [];
    for (const [entry, usedMs] of this.#idle) {
      if (usedMs > untilMs) break;
      entries.push(entry);
    }
    return entries;
  }

  isIdleSince(entry: Entry, untilMs: number): boolean {
    const usedMs = this.#idle.get(entry);
    return usedMs !== undefined && usedMs <= untilMs;
  }

  /** Forgets a name that has nothing: neither a namespace nor a lease. */
  removeIfUseless(name: string): void {
    const entry = this.#entries.get(name);
    if (entry?.isEmpty !== true || entry.isLeased) return;
    try {
      this.remove(entry);
    } catch (error) {
      // EMFILE: then it expires later.
      if (!isSystemError(error)) throw error;
    }
  }

  /** Forgets the name and ends what it has. @throws SyscallError, and keeps it then */
  remove(entry: Entry): void {
    entry.remove();
    this.#entries.delete(entry.name);
    this.#idle.delete(entry);
  }
}
