/**
 * The reaper on its thread: connects the watched tree, the decisions and the files of
 * the cgroups with the thread's event loop.
 */
import {
  type ByteString,
  EPOLLIN,
  errorText,
  Inotify,
  isErrno,
  latin1Of,
  textOf,
} from "@cm4all/linux";
import { LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING, type Logger } from "../log.ts";
import type { WorkerHandlers } from "../thread/dialogue.ts";
import { type EventLoop, monotonicMs, type Timer } from "../thread/event-loop.ts";
import { CgroupFiles } from "./cgroup-files.ts";
import { Lifecycle } from "./lifecycle.ts";
import type { ReaperDialogue, ReaperOptions, Release } from "./messages.ts";
import type { ReaperCounts, ReaperGauges, ReaperMetrics } from "./metrics.ts";
import { OpenRoot } from "./open-root.ts";
import { formatReport } from "./report.ts";
import { enterPlace, type Place, rootPlace } from "./scopes.ts";
import { countUsage } from "./totals.ts";
import { type Origin, type TreeNode, TreeWatch } from "./tree-watch.ts";

type Node = TreeNode<Place>;

/**
 * The kernel tells of a change up to 10 ms late, and then only to a queue: what a
 * comparison finds counts as missed when this much later nothing has told of it.
 */
const GRACE_MS = 1000;

/** How the periodic check measures what runs: a hundred take some 10 ms. */
const SAMPLES_PER_TURN = 100;
const SAMPLE_PAUSE_MS = 50;

export class Reaper {
  readonly #options: ReaperOptions;
  readonly #loop: EventLoop;
  readonly #log: Logger;
  readonly #tellReleased: (releases: readonly Release[]) => void;
  readonly #root: OpenRoot;
  readonly #files: CgroupFiles;
  readonly #tree: TreeWatch<Place>;
  readonly #lifecycle: Lifecycle<Node>;
  readonly #complaints = new Set<string>();
  readonly #counts: ReaperCounts;
  #hasInotify = false;
  #accounting: boolean;
  #releases: Release[] = [];
  #deletion: { readonly timer: Timer; readonly dueMs: number } | undefined;

  /**
   * @param tellReleased gets what was released in a turn
   * @throws Error where the root cannot be opened; ScopeError
   */
  constructor(
    options: ReaperOptions,
    loop: EventLoop,
    counts: ReaperCounts,
    log: Logger,
    tellReleased: (releases: readonly Release[]) => void,
  ) {
    this.#options = options;
    this.#loop = loop;
    this.#counts = counts;
    this.#log = log;
    this.#tellReleased = tellReleased;
    this.#accounting = options.accounting;
    const place = rootPlace(options.scopes);
    this.#root = new OpenRoot(options.root);
    this.#files = new CgroupFiles(this.#root, (key, text) => this.#complain(key, text));
    this.#lifecycle = new Lifecycle<Node>(
      {
        nowMs: monotonicMs,
        state: (node) => this.#files.tryReadEvents(node),
        wasUsed: (node) => this.#files.wasUsed(node),
        measure: (node, bornMs) => this.#files.measure(node, bornMs),
        identify: (node, bornMs) => this.#files.identify(node, bornMs),
        remove: (node) => this.#remove(node),
        released: (node, number, snapshot, before) => {
          countUsage(counts, node, snapshot, before);
          return this.#released(node, { number, snapshot, vanished: false });
        },
        vanished: (node, number, snapshot) => {
          this.#log(LOG_NOTICE, `${suffix(node)}: removed by others before it was measured`);
          this.#released(node, { number, snapshot, vanished: true });
        },
      },
      options.deletionDelayMs,
      counts,
    );
    this.#tree = new TreeWatch<Place>(
      this.#root,
      {
        rootPlace: place,
        enter: enterPlace,
        file: ({ kind }) => (kind === "cgroup" ? "cgroup.events" : undefined),
      },
      {
        added: (node, origin) => this.#added(node, origin),
        scanned: (node, origin) => {
          if (node.place.kind === "cgroup") this.#lifecycle.scanned(node, origin);
        },
        touched: (node, origin) => this.#lifecycle.touched(node, origin),
        removed: (node) => this.#lifecycle.removed(node),
        unwatchable: (path, error) => this.#unwatchable(path, error),
      },
    );
  }

  start(): void {
    this.#openInotify();
    this.#tree.start();
    this.#scheduleCheck();
    this.#endTurn();
  }

  /** What the main thread can ask and say. */
  readonly handlers: WorkerHandlers<ReaperDialogue> = {
    requests: { status: () => this.#status() },
    commands: {
      settle: (releases) => this.#settle(releases),
      setAccounting: (wanted) => {
        this.#accounting = wanted;
      },
      stop: () => this.#stop(),
    },
  };

  #settle(releases: readonly number[]): void {
    // A cgroup that ran again is seen before it is deleted for its earlier run.
    this.#drain();
    for (const release of releases) this.#lifecycle.settle(release);
    this.#drain();
    this.#endTurn();
  }

  #stop(): void {
    this.#drain();
    this.#lifecycle.deleteDue(true);
    this.#flush();
    this.#loop.stop();
  }

  close(): void {
    this.#tree.close();
    this.#root.close();
  }

  /** Makes an inotify instance, if the kernel gives one. */
  #openInotify(): void {
    try {
      const inotify = new Inotify();
      this.#tree.useInotify(inotify);
      this.#loop.watch(inotify.fd.number, EPOLLIN, () => {
        this.#tree.handleEvents();
        this.#endTurn();
      });
      this.#hasInotify = true;
    } catch (error) {
      this.#complain(
        "inotify",
        `cannot watch cgroups: ${errorText(error)}; see sysctl fs.inotify.max_user_instances and LimitNOFILE. ${this.#untilCheck()}`,
      );
    }
  }

  #drain(): void {
    while (this.#tree.handleEvents());
  }

  /** To be called at the end of whatever the loop called. */
  #endTurn(): void {
    this.#flush();
    const dueMs = this.#lifecycle.nextDueMs;
    if (dueMs === this.#deletion?.dueMs) return;
    this.#deletion?.timer.cancel();
    this.#deletion = undefined;
    if (dueMs === undefined) return;
    const timer = this.#loop.after(Math.max(0, dueMs - monotonicMs()), () => {
      this.#deletion = undefined;
      this.#drain();
      this.#lifecycle.deleteDue();
      // The events of the deletions are queued already: they need not wake us again.
      this.#drain();
      this.#endTurn();
    });
    this.#deletion = { timer, dueMs };
  }

  /** One message for all releases of a turn: each costs more than its contents. */
  #flush(): void {
    if (this.#releases.length === 0) return;
    this.#tellReleased(this.#releases);
    this.#releases = [];
  }

  #added(node: Node, origin: Origin): void {
    if (node.place.kind === "scope") this.#log(LOG_DEBUG, `scope ${textOf(node.path)} is there`);
    if (node.place.kind !== "cgroup") return;
    const { parent } = node;
    const above = parent?.place.kind === "cgroup" ? parent : undefined;
    this.#lifecycle.added(node, above, origin === "event" ? Date.now() : undefined);
  }

  #released(node: Node, release: Release): boolean {
    if (!release.vanished) {
      const line = formatReport(suffix(node), release.snapshot);
      if (line !== undefined) this.#log(LOG_INFO, line);
    }
    if (this.#accounting) this.#releases.push(release);
    return !this.#accounting;
  }

  #remove(node: Node) {
    const removal = this.#files.remove(node);
    if (removal === "removed") this.#tree.forget(node);
    return removal;
  }

  #scheduleCheck(): void {
    this.#loop.after(this.#options.checkIntervalMs, () => {
      this.#check();
      this.#scheduleCheck();
      this.#endTurn();
    });
  }

  /** Finds what the events have not told. */
  #check(): void {
    if (!this.#hasInotify) this.#openInotify();
    this.#tree.retryWatches();
    this.#drain();
    if (this.#hasInotify && this.#tree.unwatched === 0) this.#complaints.clear();
    this.#lifecycle.retry();
    this.#sample(this.#lifecycle.takeSamples());
    const suspects = this.#differences();
    if (suspects.size === 0) return;
    this.#loop.after(GRACE_MS, () => {
      this.#confirm(suspects);
      this.#endTurn();
    });
  }

  /** A few at a time, so that what runs empty meanwhile does not wait. */
  #sample(samples: Generator<void, void>): void {
    for (let i = 0; i < SAMPLES_PER_TURN; i++) if (samples.next().done === true) return;
    this.#loop.after(SAMPLE_PAUSE_MS, () => this.#sample(samples));
  }

  #confirm(suspects: ReadonlyMap<string, unknown>): void {
    this.#drain();
    const confirmed = [...this.#differences()].filter(([key]) => suspects.has(key));
    for (const [, repair] of confirmed) repair();
    this.#counts.missedChanges += confirmed.length;
    if (confirmed.length > 0)
      this.#log(LOG_WARNING, `the periodic check found ${confirmed.length} missed changes`);
  }

  /** What differs from what the events have told, and how to repair it. */
  #differences(): Map<string, () => void> {
    const found = new Map<string, () => void>();
    for (const difference of this.#tree.compare()) {
      const { kind, node, name } = difference;
      found.set(`${kind} ${latin1Of(node.path)} ${latin1Of(name)}`, () =>
        this.#tree.apply([difference]),
      );
    }
    for (const node of this.#lifecycle.differing())
      found.set(`state ${latin1Of(node.path)}`, () => this.#lifecycle.touched(node, "comparison"));
    return found;
  }

  #status(): ReaperMetrics {
    const gauges: ReaperGauges = {
      watchedCgroups: this.#lifecycle.watched,
      waitingCgroups: this.#lifecycle.waiting,
      inotifyWatches: this.#tree.watches,
      unwatchedDirectories: this.#tree.unwatched,
    };
    return { ...gauges, ...this.#counts, rescans: this.#tree.overflows };
  }

  #unwatchable(path: ByteString, error: unknown): void {
    let advice = `${textOf(path)}: ${errorText(error)}`;
    if (isErrno(error, "ENOSPC"))
      advice = `cannot watch more cgroups: sysctl fs.inotify.max_user_watches is reached (2 for each cgroup, ${this.#tree.watches} in use)`;
    else if (isErrno(error, "EMFILE"))
      advice = `cannot open a cgroup: RLIMIT_NOFILE (LimitNOFILE= of the service) is reached`;
    else if (isErrno(error, "ENFILE"))
      advice = `cannot open a cgroup: sysctl fs.file-max is reached`;
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    this.#complain(`watch ${code}`, `${advice}. ${this.#untilCheck()}`);
  }

  #untilCheck(): string {
    const seconds = this.#options.checkIntervalMs / 1000;
    return `What is not watched is found by the check every ${seconds} s`;
  }

  /** A shortage that lasts is told once, until a check finds it over. */
  #complain(key: string, complaint: string): void {
    if (this.#complaints.has(key)) return;
    this.#complaints.add(key);
    this.#log(LOG_WARNING, complaint);
  }
}

/** The path below the scope. */
function suffix(node: Node): string {
  const names: string[] = [];
  for (let each: Node | undefined = node; each?.place.kind === "cgroup"; each = each.parent)
    names.unshift(textOf(each.name));
  return names.join("/");
}
