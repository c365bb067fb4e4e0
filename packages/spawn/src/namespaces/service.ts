/** The namespace service's thread: puts its parts together and runs them. */
import { Fd, openOwnNamespace, ownNamespaceInode, setThreadName } from "@cm4all/linux";
import { LOG_NOTICE, LOG_WARNING } from "../log.ts";
import { LogOnce } from "../log-once.ts";
import type { WorkerHandlers } from "../thread/dialogue.ts";
import { EventLoop, monotonicMs } from "../thread/event-loop.ts";
import { ParentThread, workerOptions } from "../thread/parent-thread.ts";
import { Connections } from "./connections.ts";
import type { Context } from "./context.ts";
import type { Entry } from "./entry.ts";
import { EpollEngine } from "./epoll-engine.ts";
import { Expiry } from "./expiry.ts";
import { HandleCache } from "./handle-cache.ts";
import { makeChildrenPowerless } from "./init.ts";
import type { NamespaceDialogue, NamespaceOptions, NamespaceStatus } from "./messages.ts";
import { Registry } from "./registry.ts";
import { restore } from "./restore.ts";
import { Server } from "./server.ts";
import { Store, StoreError } from "./store.ts";

/** Open namespaces at most; see the descriptor budget in docs/design.md. */
const MAX_HANDLES = 4096;

/** How often the main thread is told of changes at most. */
const REPORT_INTERVAL_MS = 1000;

/** How long connections may go on after a stop, so that no request is cut off. */
const STOP_GRACE_MS = 500;

/** How long what has come until then is answered. */
const STOP_ANSWER_MS = 200;

/** Runs until it is told to stop. To be called on a worker thread. */
export function runNamespaceService(): void {
  const loop = new EventLoop();
  const options = workerOptions<NamespaceOptions>();
  const parent = new ParentThread<NamespaceDialogue>();
  let service: NamespaceService;
  try {
    service = new NamespaceService(loop, options, parent);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    parent.post("unusable", error.message);
    return;
  }
  parent.listen(loop, service.handlers);
  loop.run();
  loop.close();
}

class NamespaceService {
  readonly #loop: EventLoop;
  readonly #options: NamespaceOptions;
  readonly #parent: ParentThread<NamespaceDialogue>;
  readonly #engine: EpollEngine;
  readonly #context: Context;
  readonly #isNewStore: boolean;
  readonly #registry: Registry;
  readonly #connections: Connections;
  readonly #expiry: Expiry;
  readonly #server: Server;
  #initDeaths = 0;
  #reportedNames = 0;
  #isReportPlanned = false;

  constructor(loop: EventLoop, options: NamespaceOptions, parent: ParentThread<NamespaceDialogue>) {
    this.#loop = loop;
    this.#options = options;
    this.#parent = parent;
    const log: Context["log"] = (priority, text) => parent.post("log", { priority, text });
    const logOnce = new LogOnce(log);
    this.#engine = new EpollEngine(loop, (error) =>
      logOnce.log("accept", LOG_WARNING, `cannot accept connections for the moment: ${error}`),
    );
    setThreadName("namespaces");
    makeChildrenPowerless();
    const ownInode = ownNamespaceInode("pid");
    const ownUserNamespace = ownNamespaceInode("user");
    const inherited = this.#openInheritedStore(log);
    this.#isNewStore = inherited === undefined;
    this.#context = {
      store: inherited ?? Store.create(),
      engine: this.#engine,
      handles: new HandleCache(MAX_HANDLES),
      ownPidNamespace: openOwnNamespace("pid"),
      policy: options.policy,
      log,
      logOnce,
    };
    this.#registry = new Registry(this.#context, {
      initDied: (entry) => this.#onInitDied(entry),
      touched: () => {
        this.#expiry.plan();
        this.#planReport();
      },
    });
    this.#expiry = new Expiry(this.#context, this.#registry, ownInode, () => this.#planReport());
    this.#connections = new Connections(this.#context, ownUserNamespace);
    this.#server = new Server(this.#context, this.#registry, this.#connections);
    restore(this.#context, this.#registry, options.cgroupPids, ownInode);
  }

  /** Tells the main thread how many names there are, when that has changed. */
  #planReport(): void {
    if (this.#isReportPlanned || this.#registry.size === this.#reportedNames) return;
    this.#isReportPlanned = true;
    this.#loop.after(REPORT_INTERVAL_MS, () => {
      this.#isReportPlanned = false;
      this.#reportedNames = this.#registry.size;
      this.#parent.post("changed", this.#reportedNames);
    });
  }

  #openInheritedStore(log: Context["log"]): Store | undefined {
    if (this.#options.storeFd === undefined) return undefined;
    const fd = new Fd(this.#options.storeFd);
    try {
      return Store.open(fd);
    } catch (error) {
      log(LOG_WARNING, `starting with an empty store: ${error}`);
      fd.close();
      return undefined;
    }
  }

  #onInitDied(entry: Entry): void {
    this.#initDeaths++;
    this.#context.log(LOG_NOTICE, `the init of ${entry.name} ended; its PID namespace is gone`);
    this.#registry.removeIfUseless(entry.name);
  }

  /** What the main thread can ask and say. */
  readonly handlers: WorkerHandlers<NamespaceDialogue> = {
    requests: {
      store: () => ({ fd: this.#context.store.fd.number, isNew: this.#isNewStore }),
      serve: () => this.#engine.listen(this.#options.listenerFd, this.#server),
      ping: () => undefined,
      status: () => this.#status(),
      purge: (onlyIdle) => (answer) =>
        this.#purge(onlyIdle, (ended) => answer({ ended, left: this.#registry.size })),
    },
    commands: {
      configure: (policy) => {
        this.#context.policy = policy;
        this.#expiry.replan();
      },
      stop: (isLast) => this.#stop(isLast),
    },
  };

  #purge(onlyIdle: boolean, done: (ended: number) => void): void {
    if (onlyIdle) this.#expiry.endIdle(monotonicMs(), done);
    else this.#expiry.endAll(done);
  }

  /**
   * Where another daemon goes on, connections may still ask until the grace is over: a
   * client that has connected and not yet asked is served, one that has got its answer
   * goes away.
   */
  #stop(isLast: boolean): void {
    this.#engine.stopListening();
    const endMs = isLast ? 0 : monotonicMs() + STOP_GRACE_MS;
    const look = () => {
      if (this.#connections.size > 0 && monotonicMs() < endMs) {
        this.#loop.after(10, look);
        return;
      }
      this.#finishConnections();
      if (isLast) this.#expiry.killIdleInits(() => this.#loop.stop());
      else this.#loop.stop();
    };
    look();
  }

  /**
   * Answers what has come. What is left is closed by the end of the process; nothing of
   * that can take long.
   */
  #finishConnections(): void {
    const endMs = monotonicMs() + STOP_ANSWER_MS;
    for (const { connection } of [...this.#connections.all()])
      if (monotonicMs() < endMs) connection.finish(this.#server);
  }

  #status(): NamespaceStatus {
    let ipcNamespaces = 0;
    let pidNamespaces = 0;
    let userNamespaces = 0;
    let leasedNames = 0;
    for (const entry of this.#registry.entries()) {
      if (entry.hasIpc) ipcNamespaces++;
      if (entry.init !== undefined) pidNamespaces++;
      userNamespaces += entry.userNamespaceCount;
      if (entry.isLeased) leasedNames++;
    }
    const { statistics } = this.#server;
    return {
      names: this.#registry.size,
      ipcNamespaces,
      pidNamespaces,
      userNamespaces,
      leasedNames,
      connections: this.#connections.size,
      openHandles: this.#context.handles.size,
      expiredNames: this.#expiry.expired,
      sparedNames: this.#expiry.spared,
      initDeaths: this.#initDeaths,
      longestTurnMs: this.#loop.takeLongestTurnMs(),
      requests: {
        answered: statistics.answeredCount,
        byType: statistics.byType,
        answeredTotalMs: statistics.answeredTotalMs,
        latencyCounts: statistics.latencyCounts,
        failed: statistics.failed,
        malformed: statistics.malformed,
        refused: statistics.refused,
      },
    };
  }
}
