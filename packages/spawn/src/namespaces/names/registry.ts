/** All names, and which of them nobody has used for how long. */
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
   * Names without a lease and when each was used last, milliseconds of the monotonic
   * clock, in this order: whoever is used goes to the end.
   */
  readonly #idle = new RecencyMap<NamespaceSet, number>();
  readonly #counts: NamespaceCounts;
  /** How many names each uid has made. */
  readonly #perUid = new Map<number, number>();
  quotas: Quotas;
  payloadNamespaces = 0;

  /** @param touched is told when a name was used, or lost its last lease */
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

  /** How many names the uid has that has made most of them. */
  get mostOfOneUid(): number {
    return Math.max(0, ...this.#perUid.values());
  }

  /**
   * The name's set, a new one if there is none.
   * @param uid who asks for it
   * @throws Refusal at a quota
   */
  getOrCreate(name: string, uid: number): NamespaceSet {
    const existing = this.#sets.get(name);
    if (existing !== undefined) return existing;
    const { names, namesPerUid } = this.quotas;
    if (this.#sets.size >= names) throw new Refusal(`quota reached: ${names} names`);
    if ((this.#perUid.get(uid) ?? 0) >= namesPerUid)
      throw new Refusal(`quota reached: ${namesPerUid} names of one uid`);
    return this.create(name, uid);
  }

  /** A new set, whatever the quotas say: for what a restart finds. */
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

  /** The name was used: its time runs from `nowMs` on, unless it is leased. */
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
    this.#removeIfUseless(set);
  }

  /** When the name that was used longest ago was used; undefined where all are leased. */
  oldestUseMs(): number | undefined {
    return this.#idle.oldest?.[1];
  }

  /** Names that were last used at `untilMs` or before. */
  idleUntil(untilMs: number): NamespaceSet[] {
    const sets: NamespaceSet[] = [];
    for (const [set, usedMs] of this.#idle) {
      if (usedMs > untilMs) break;
      sets.push(set);
    }
    return sets;
  }

  /** When the name was used last; undefined while it is leased. */
  lastUseMs(set: NamespaceSet): number | undefined {
    return this.#idle.get(set);
  }

  isIdleSince(set: NamespaceSet, untilMs: number): boolean {
    const usedMs = this.#idle.get(set);
    return usedMs !== undefined && usedMs <= untilMs;
  }

  /** For a request that failed: the name was used, but is forgotten if it has nothing. */
  touchUnlessUseless(set: NamespaceSet): void {
    if (!this.#removeIfUseless(set)) this.touch(set);
  }

  /**
   * Forgets a name that has neither a namespace nor a lease.
   * @returns false if it has something, or cannot be removed for the moment
   */
  #removeIfUseless(set: NamespaceSet): boolean {
    if (!set.isEmpty || set.isLeased) return false;
    try {
      this.remove(set);
      return true;
    } catch (error) {
      // EMFILE: then it expires later.
      if (!isSystemError(error)) throw error;
      return false;
    }
  }

  /** Forgets the name and ends what it has. @throws SyscallError, and keeps it then */
  remove(set: NamespaceSet): void {
    set.remove();
    this.#delete(set);
  }

  /** Forgets the name; what it has stays in the store as it is. */
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
