/** All names, and how long each has been idle. */
import { LOG_NOTICE, type Logger } from "../../log/log.ts";
import { monotonicMs } from "../../thread/event-loop.ts";
import { isSystemError, Refusal } from "../errors.ts";
import type { NamespaceCounts } from "../metrics.ts";
import type { Quotas } from "../settings.ts";
import { NamespaceSet, type SetOwner, type Tools } from "./namespace-set.ts";
import { RecencyMap } from "./recency-map.ts";
import type { Store } from "./store.ts";

export class Registry implements SetOwner {
  readonly #store: Store;
  readonly #tools: Tools;
  readonly #log: Logger;
  readonly #touched: () => void;
  readonly #sets = new Map<string, NamespaceSet>();
  /**
   * The names without a lease, each with the time of its last use, in milliseconds of the monotonic
   * clock. They are in the order of use: a name that is used moves to the end.
   */
  readonly #idle = new RecencyMap<NamespaceSet, number>();
  readonly #counts: NamespaceCounts;
  /** The number of names that each uid has made. */
  readonly #perUid = new Map<number, number>();
  quotas: Quotas;
  payloadNamespaces = 0;

  /** @param touched called when a name has been used, or has lost its last lease */
  constructor(
    store: Store,
    tools: Tools,
    quotas: Quotas,
    counts: NamespaceCounts,
    log: Logger,
    touched: () => void,
  ) {
    this.#store = store;
    this.#tools = tools;
    this.quotas = quotas;
    this.#counts = counts;
    this.#log = log;
    this.#touched = touched;
  }

  get size(): number {
    return this.#sets.size;
  }

  sets(): IterableIterator<NamespaceSet> {
    return this.#sets.values();
  }

  get(name: string): NamespaceSet | undefined {
    return this.#sets.get(name);
  }

  /** Returns the number of names of the uid that has made the most. */
  get mostOfOneUid(): number {
    return Math.max(0, ...this.#perUid.values());
  }

  /**
   * Returns the set of a name; makes a new one if there is none.
   * @param uid the uid of the client
   * @throws Refusal if a quota is reached
   * @throws SyscallError if the kernel refuses
   */
  getOrCreate(name: string, uid: number): NamespaceSet {
    const existing = this.#sets.get(name);
    if (existing?.hasEnded === true) this.remove(existing);
    else if (existing !== undefined) return existing;
    const { names, namesPerUid } = this.quotas;
    if (this.#sets.size >= names) throw new Refusal(`quota reached: ${names} names`);
    if ((this.#perUid.get(uid) ?? 0) >= namesPerUid)
      throw new Refusal(`quota reached: ${namesPerUid} names of one uid`);
    return this.create(name, uid);
  }

  /** Makes a new set, whatever the quotas are: the names found at a restart may exceed them. */
  create(
    name: string,
    uid: number | undefined,
    directory = this.#store.createName(name, uid),
  ): NamespaceSet {
    const set = new NamespaceSet(name, uid, directory, this.#tools, this);
    this.#sets.set(name, set);
    if (uid !== undefined) this.#perUid.set(uid, (this.#perUid.get(uid) ?? 0) + 1);
    return set;
  }

  /** Notes that the name was used: its lifetime starts at `nowMs`, unless it is leased. */
  touch(set: NamespaceSet, nowMs = monotonicMs()): void {
    if (set.isLeased) this.#idle.delete(set);
    else this.#idle.set(set, nowMs);
    this.#touched();
  }

  leasesClosed(set: NamespaceSet): void {
    this.touch(set);
  }

  initDied(set: NamespaceSet): void {
    this.#counts.initDeaths++;
    this.#log(LOG_NOTICE, `the init of ${set.name} ended; its PID namespace is gone`);
  }

  /** Returns when the name that has been idle longest was last used; undefined if none is idle. */
  oldestUseMs(): number | undefined {
    return this.#idle.oldest?.[1];
  }

  /** Returns the names that were last used at `untilMs` or before. */
  idleUntil(untilMs: number): NamespaceSet[] {
    const sets: NamespaceSet[] = [];
    for (const [set, usedMs] of this.#idle) {
      if (usedMs > untilMs) break;
      sets.push(set);
    }
    return sets;
  }

  /** Returns the time of the name's last use; undefined while it is leased. */
  lastUseMs(set: NamespaceSet): number | undefined {
    return this.#idle.get(set);
  }

  isIdleSince(set: NamespaceSet, untilMs: number): boolean {
    const usedMs = this.#idle.get(set);
    return usedMs !== undefined && usedMs <= untilMs;
  }

  /** Notes the use of a name by a request that failed, or forgets the name if it has nothing. */
  touchUnlessUseless(set: NamespaceSet): void {
    if (!this.removeIfUseless(set)) this.touch(set);
  }

  /**
   * Forgets a name that has neither a namespace nor a lease.
   * @returns false if it has one of them, or cannot be removed at the moment
   */
  removeIfUseless(set: NamespaceSet): boolean {
    if (!set.isEmpty || set.isLeased) return false;
    try {
      this.remove(set);
      return true;
    } catch (error) {
      // EMFILE, ENOMEM: what is left of the name expires later.
      if (!isSystemError(error)) throw error;
      return false;
    }
  }

  /**
   * Forgets the name and ends what it has.
   * @throws SyscallError; the name stays then, so that the next request or expiry ends the rest
   */
  remove(set: NamespaceSet): void {
    try {
      set.remove();
    } catch (error) {
      // The name's leases may be gone: note it as idle, so that it expires.
      this.touch(set);
      throw error;
    }
    this.#delete(set);
  }

  /** Forgets the name. Everything that it has stays in the store as it is. */
  abandon(set: NamespaceSet): void {
    set.abandon();
    this.#delete(set);
  }

  #delete(set: NamespaceSet): void {
    this.#idle.delete(set);
    if (!this.#sets.delete(set.name) || set.uid === undefined) return;
    const left = (this.#perUid.get(set.uid) ?? 0) - 1;
    if (left > 0) this.#perUid.set(set.uid, left);
    else this.#perUid.delete(set.uid);
  }
}
