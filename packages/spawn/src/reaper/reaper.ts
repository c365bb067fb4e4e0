/**
 * The reaper, which runs on a thread of its own: connects the watched tree, the decisions about
 * cgroups (`Lifecycle`) and the cgroups' files with the thread's event loop.
 */
import {
  type CgroupMeasurement,
  type CgroupSnapshot,
  type EncodedRecord,
  encodeRecord,
  limitPath,
} from "@cm4all/cgroup";
import { EPOLLIN, errorText, freeMemory, Inotify, QUIET_MS, textOf } from "@cm4all/linux";
import { Lull } from "@cm4all/supervision";
import { LOG_DEBUG, LOG_ERR, LOG_INFO, LOG_NOTICE, LOG_WARNING, type Logger } from "../log/log.ts";
import type { WorkerHandlers } from "../thread/dialogue.ts";
import { type EventLoop, monotonicMs, type Timer } from "../thread/event-loop.ts";
import type { LifecycleRelease } from "./cgroup.ts";
import { CgroupFiles } from "./cgroup-files.ts";
import { PeriodicCheck } from "./check.ts";
import { Complaints } from "./complaints.ts";
import { Interim } from "./interim.ts";
import { Lifecycle } from "./lifecycle.ts";
import type { ReaperDialogue, ReaperOptions } from "./messages.ts";
import type { ReaperCounts, ReaperGauges, ReaperMetrics } from "./metrics.ts";
import type { OpenRoot } from "./open-root.ts";
import { Outbox, type TellMain } from "./outbox.ts";
import { formatReport } from "./report.ts";
import { enterPlace, type Place, rootPlace } from "./scopes.ts";
import { countUsage, forgetScope } from "./totals.ts";
import type { Origin, TreeNode } from "./tree-node.ts";
import { TreeWatch } from "./tree-watch.ts";
import { Turns } from "./turns.ts";
import { XattrCache } from "./xattr-cache.ts";

type Node = TreeNode<Place>;
type Remains = (figures: CgroupMeasurement) => void;

/**
 * The pause, in milliseconds, before the reaper looks again at cgroups that it could not look at
 * during the first scan.
 */
const START_PAUSE_MS = 1000;

export class Reaper {
  readonly #options: ReaperOptions;
  readonly #loop: EventLoop;
  readonly #log: Logger;
  readonly #outbox: Outbox;
  readonly #files: CgroupFiles;
  readonly #xattrs: XattrCache<Place>;
  readonly #tree: TreeWatch<Place>;
  readonly #lifecycle: Lifecycle<Node>;
  readonly #turns: Turns;
  readonly #check: PeriodicCheck;
  readonly #interim: Interim;
  readonly #complaints: Complaints;
  readonly #counts: ReaperCounts;
  readonly #lull: Lull;
  #hasInotify = false;
  /** The scopes that exist. */
  readonly #scopes = new Set<Node>();
  #isAccounting: boolean;
  #isStopping = false;
  /** The number of cgroups that have been lost since the outbox last had room. */
  #lostInARow = 0;
  #due: { readonly timer: Timer; readonly dueMs: number } | undefined;

  /**
   * @param root the open root, which the caller closes
   * @throws ScopeError
   */
  constructor(
    options: ReaperOptions,
    root: OpenRoot,
    loop: EventLoop,
    counts: ReaperCounts,
    log: Logger,
    main: TellMain,
  ) {
    this.#options = options;
    this.#loop = loop;
    this.#counts = counts;
    this.#lull = new Lull(QUIET_MS, freeMemory, (delayMs, run) => loop.after(delayMs, run));
    this.#log = log;
    this.#outbox = new Outbox(main);
    this.#isAccounting = options.accounting;
    this.#complaints = new Complaints(options.checkIntervalMs, log);
    this.#files = new CgroupFiles(root, this.#complaints.complain);
    this.#xattrs = new XattrCache(root, this.#complaints.complain);
    this.#lifecycle = new Lifecycle(this.#world(), options, counts);
    this.#tree = this.#watch(root);
    this.#interim = new Interim(loop, {
      count: () => this.#lifecycle.watched,
      round: () => this.#lifecycle.measureRunning((node, snapshot) => this.#tell(node, snapshot)),
      wake: () => this.#turns.wake(),
    });
    this.#check = new PeriodicCheck(loop, this.#tree, this.#lifecycle, options.checkIntervalMs, {
      begins: () => {
        if (!this.#hasInotify) this.#openInotify();
      },
      retried: () => {
        if (this.#hasInotify && this.#tree.unwatched === 0) this.#complaints.clear();
      },
      missed: (changes) => {
        counts.missedChanges += changes;
        log(LOG_WARNING, `the periodic check found ${changes} missed changes`);
      },
      wake: () => this.#turns.wake(),
    });
    const steps = [
      () => this.#tree.step(),
      () => this.#lifecycle.measureStep(),
      () => this.#lifecycle.deleteStep(),
      () => this.#interim.step(),
      () => this.#check.step(),
    ];
    this.#turns = new Turns(loop, steps, () => this.#endTurn(), monotonicMs);
  }

  /** Returns the functions through which `Lifecycle` looks at cgroups and acts on them. */
  #world() {
    return {
      nowMs: monotonicMs,
      isPopulated: (node: Node) => this.#files.isPopulated(node),
      wasUsed: (node: Node) => this.#files.wasUsed(node),
      mayRelease: () => !this.#isAccounting || this.#outbox.hasRoom,
      hasRoom: () => this.#outbox.hasRoom,
      measure: (node: Node, bornMs: number | undefined, remains: Remains) =>
        this.#measure(node, bornMs, remains),
      identify: (node: Node, bornMs: number | undefined) => this.#files.identify(node, bornMs),
      remove: (node: Node, maxUsec: number | undefined) => this.#remove(node, maxUsec),
      released: (node: Node, release: LifecycleRelease, before: CgroupSnapshot | undefined) =>
        this.#released(node, release, before),
      withdrawn: (release: number) => this.#outbox.withdrawn(release),
      kept: (release: number) => this.#outbox.kept(release),
      deleted: (release: number) => this.#outbox.deleted(release),
    };
  }

  #watch(root: OpenRoot): TreeWatch<Place> {
    const rules = {
      rootPlace: rootPlace(this.#options.scopes),
      enter: enterPlace,
      file: ({ kind }: Place) => (kind === "cgroup" ? "cgroup.events" : undefined),
    };
    return new TreeWatch<Place>(root, rules, {
      added: (node, origin) => this.#added(node, origin),
      scanned: (node, origin) => {
        if (node.place.kind === "cgroup") this.#lifecycle.scanned(node, origin);
      },
      touched: (node, origin) => this.#lifecycle.touched(node, origin),
      attributesChanged: (node) => this.#xattrs.forget(node),
      removed: (node) => {
        if (this.#scopes.delete(node)) forgetScope(this.#counts, node);
        this.#lifecycle.removed(node);
        this.#xattrs.forget(node);
      },
      missed: ({ place }) => {
        if (place.kind !== "way") this.#counts.unseenCgroups++;
      },
      started: () => this.#started(),
      startRefused: () => this.#startLater(),
      overflowed: () => this.#xattrs.clear(),
      unwatchable: (path, error) => this.#complaints.unwatchable(path, error, this.#tree.watches),
    });
  }

  /** Begins to watch, check and reap. To be called once. */
  start(): void {
    this.#openInotify();
    this.#check.start();
    this.#interim.configure(this.#options.interimMs);
    this.#turns.wake();
    this.#lull.worked();
  }

  /** The requests and commands that the main thread can send. */
  readonly handlers: WorkerHandlers<ReaperDialogue> = {
    requests: { status: () => this.#status() },
    commands: {
      journalled: (releases, takenBytes) => {
        this.#outbox.taken(takenBytes);
        this.#lossEnded();
        this.#lifecycle.journalled(releases);
        this.#turns.wake();
      },
      setAccounting: (wanted) => {
        this.#isAccounting = wanted;
        this.#turns.wake();
      },
      setInterim: (intervalMs) => this.#interim.configure(intervalMs),
      stop: () => {
        this.#isStopping = true;
        this.#turns.wake();
      },
    },
  };

  /** Ends all watches. */
  close(): void {
    this.#tree.close();
  }

  /** Opens an inotify instance, if the kernel grants one. */
  #openInotify(): void {
    let inotify: Inotify | undefined;
    try {
      inotify = new Inotify();
      this.#loop.watch(inotify.fd.number, EPOLLIN, () => {
        this.#tree.noteEvents();
        this.#turns.wake();
      });
      this.#tree.useInotify(inotify);
      this.#hasInotify = true;
    } catch (error) {
      inotify?.close();
      this.#complaints.noInotify(errorText(error));
    }
  }

  #endTurn(): void {
    this.#outbox.flush();
    if (this.#isStopping && !this.#lifecycle.isDeleting) {
      this.#loop.stop();
      return;
    }
    const dueMs = this.#lifecycle.nextDueMs;
    if (dueMs === this.#due?.dueMs) return;
    this.#due?.timer.cancel();
    this.#due = undefined;
    if (dueMs === Number.POSITIVE_INFINITY) return;
    const timer = this.#loop.after(Math.max(0, dueMs - monotonicMs()), () => {
      this.#due = undefined;
      this.#turns.wake();
    });
    this.#due = { timer, dueMs };
  }

  #added(node: Node, origin: Origin): void {
    if (node.place.kind === "scope") {
      this.#scopes.add(node);
      this.#log(LOG_DEBUG, `scope ${textOf(node.path)} is there`);
    }
    if (node.place.kind !== "cgroup") return;
    const { parent } = node;
    const above = parent?.place.kind === "cgroup" ? parent : undefined;
    this.#lifecycle.added(node, above, origin === "event" ? Date.now() : undefined);
  }

  #started(): void {
    const { found, used } = this.#lifecycle.unreleased();
    const idsOf = (nodes: Node[]) => nodes.map(({ inode }) => this.#files.id(inode));
    this.#outbox.scanned({ populated: idsOf(used), empty: idsOf(found) });
    this.#check.sample();
  }

  /**
   * Looks again later for directories that are not known yet. Accounting waits until all are known.
   */
  #startLater(): void {
    this.#complaints.complain(
      "start",
      "not all cgroups can be looked at: accounting waits until they can be",
    );
    this.#loop.after(START_PAUSE_MS, () => {
      this.#tree.startAgain();
      this.#turns.wake();
    });
  }

  #measure(node: Node, bornMs: number | undefined, remains: Remains) {
    // The cgroup may have been seen empty while earlier events were still waiting. One of them may
    // report an attribute that was changed before the cgroup's last process ended.
    if (!this.#tree.tryReadAhead()) this.#xattrs.clear();
    const loadXattrs = (fd: number, mode: number) => this.#xattrs.load(node, fd, mode);
    const also = this.#isAccounting ? loadXattrs : undefined;
    return this.#files.measure(node, bornMs, also, remains);
  }

  #record(node: Node, snapshot: CgroupSnapshot): EncodedRecord {
    const record = { snapshot, xattrs: this.#xattrs.of(node) };
    const limited = limitPath(record);
    if (limited !== record)
      this.#complaints.complain(
        "path",
        "a cgroup's path is longer than 1 MiB: its record names a cgroup above it, but has the figures of the cgroup itself",
      );
    return encodeRecord(limited);
  }

  #released(
    node: Node,
    { number, snapshot, vanished, isFound, replaces }: LifecycleRelease,
    before: CgroupSnapshot | undefined,
  ): boolean {
    this.#lull.worked();
    if (vanished)
      this.#log(LOG_NOTICE, `${suffix(node)}: removed by others before it was measured`);
    else {
      countUsage(this.#counts, node, snapshot, before);
      // Leave out a birth time that is known only from an event, as the original daemon does.
      // Otherwise the line would look different to programs that read the log.
      const told = this.#files.tellsBirths ? snapshot : { ...snapshot, birthMs: undefined };
      const line = formatReport(suffix(node), told);
      if (line !== undefined) this.#log(LOG_INFO, line);
    }
    // A cgroup that was found at startup is reported even without accounting: there may already be
    // a record of it, which waits for this report.
    if (!this.#isAccounting && !isFound) return false;
    const record = this.#record(node, snapshot);
    const told = { number, record, vanished, isFound, replaces };
    if (!vanished) this.#outbox.released(told);
    else if (!this.#outbox.tryVanished(told)) this.#lose();
    return true;
  }

  /** Counts a lost cgroup, and logs only the first: there may be thousands. */
  #lose(): void {
    if (this.#lostInARow === 0)
      this.#log(
        LOG_ERR,
        "the journal takes no records, and too many cgroups wait: those that others remove are lost",
      );
    this.#lostInARow++;
    this.#counts.lostVanishedCgroups++;
  }

  #lossEnded(): void {
    if (this.#lostInARow === 0 || !this.#outbox.hasRoom) return;
    this.#log(LOG_ERR, `${this.#lostInARow} cgroups that others removed are lost`);
    this.#lostInARow = 0;
  }

  #tell(node: Node, snapshot: CgroupSnapshot): void {
    if (this.#isAccounting) this.#outbox.interim(this.#record(node, snapshot));
  }

  #remove(node: Node, maxUsec: number | undefined) {
    const removal = this.#files.remove(node, maxUsec);
    if (removal === "removed") {
      this.#tree.forget(node);
      this.#xattrs.forget(node);
    }
    return removal;
  }

  #status(): ReaperMetrics {
    const gauges: ReaperGauges = {
      scopes: this.#scopes.size,
      watchedCgroups: this.#lifecycle.watched,
      waitingCgroups: this.#lifecycle.waiting,
      inotifyWatches: this.#tree.watches,
      unwatchedDirectories: this.#tree.unwatched,
    };
    return { ...gauges, ...this.#counts, rescans: this.#tree.overflows };
  }
}

/** Returns the path below the scope. */
function suffix(node: Node): string {
  const names: string[] = [];
  for (let each: Node | undefined = node; each?.place.kind === "cgroup"; each = each.parent)
    names.unshift(textOf(each.name));
  return names.join("/");
}
