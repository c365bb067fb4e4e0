/** The thread of the namespace service: puts its parts together and runs them. */
import { errorText, Fd, openOwnNamespace, ownNamespaceInode, setThreadName } from "@cm4all/linux";
import { forEachKind } from "@cm4all/spawn-protocol";
import { LOG_WARNING, type Logger } from "../log/log.ts";
import { LogOnce } from "../log/log-once.ts";
import { zeroCounts } from "../metrics/declaration.ts";
import type { WorkerHandlers } from "../thread/dialogue.ts";
import { EventLoop, monotonicMs } from "../thread/event-loop.ts";
import { ParentThread, workerOptions } from "../thread/parent-thread.ts";
import { Listener } from "./connections/listener.ts";
import { makeShared } from "./connections/shared.ts";
import { errorKey, hasRunShort, type OnError } from "./errors.ts";
import { Expiry } from "./expiry/expiry.ts";
import { NameEnder } from "./expiry/name-ender.ts";
import type { NamespaceDialogue, NamespaceOptions } from "./messages.ts";
import {
  NAMESPACE_METRICS,
  type NamespaceCounts,
  type NamespaceGauges,
  type NamespaceMetrics,
} from "./metrics.ts";
import { DescriptorCache } from "./names/descriptor-cache.ts";
import { InitStarter, makeChildrenPowerless } from "./names/init.ts";
import { findName, listNames } from "./names/name-status.ts";
import type { KeptNamespace } from "./names/namespace-set.ts";
import { Registry } from "./names/registry.ts";
import { restore } from "./names/restore.ts";
import { Store, StoreError } from "./names/store.ts";
import { Clients } from "./requests/clients.ts";
import { Responder } from "./requests/responder.ts";
import type { Settings } from "./settings.ts";

/** The maximum number of open namespaces; see the descriptor budget in docs/design.md. */
const MAX_OPEN_NAMESPACES = 4096;

/** The minimum time between two reports of a changed number of names, in milliseconds. */
const REPORT_INTERVAL_MS = 1000;

/** How long connections stay open after a stop, so that no request is cut off, in milliseconds. */
const STOP_GRACE_MS = 500;

/** Runs the service until the main thread stops it. To be called on a worker thread. */
export function runNamespaceService(): void {
  const counts = zeroCounts(NAMESPACE_METRICS);
  const loop = new EventLoop(counts.turnSeconds);
  const options = workerOptions<NamespaceOptions>();
  const parent = new ParentThread<NamespaceDialogue>();
  let service: NamespaceService;
  try {
    service = new NamespaceService(loop, options, counts, parent);
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
  readonly #counts: NamespaceCounts;
  readonly #store: Store;
  readonly #isNewStore: boolean;
  readonly #descriptors = new DescriptorCache<KeptNamespace>(MAX_OPEN_NAMESPACES);
  readonly #registry: Registry;
  readonly #ender: NameEnder;
  readonly #expiry: Expiry;
  readonly #clients: Clients;
  readonly #responder: Responder;
  readonly #listeners: readonly { readonly fd: number; readonly listener: Listener }[];
  #reportedNames = 0;
  #isReportPlanned = false;

  constructor(
    loop: EventLoop,
    options: NamespaceOptions,
    counts: NamespaceCounts,
    parent: ParentThread<NamespaceDialogue>,
  ) {
    this.#loop = loop;
    this.#options = options;
    this.#counts = counts;
    this.#parent = parent;
    const { settings } = options;
    const log: Logger = (priority, text) => parent.post("log", { priority, text });
    const logOnce = new LogOnce(log);
    const failed: OnError = (what, error) =>
      logOnce.log(`${what} ${errorKey(error)}`, LOG_WARNING, `${what}: ${error.message}`);
    setThreadName("namespaces");
    makeChildrenPowerless();
    const ownInode = ownNamespaceInode("pid");
    const ownUserNamespace = ownNamespaceInode("user");
    const inherited = this.#tryOpenInheritedStore(log);
    const store = inherited ?? Store.create();
    this.#store = store;
    this.#isNewStore = inherited === undefined;
    const inits = new InitStarter(openOwnNamespace("pid"));
    const tools = {
      loop,
      descriptors: this.#descriptors,
      startInit: (name: string) => store.outside(() => inits.start(name)),
      onError: failed,
    };
    this.#registry = new Registry(store, tools, settings.quotas, counts, log, () => {
      this.#expiry.plan();
      this.#planReport();
    });
    this.#ender = new NameEnder(loop, this.#registry, ownInode, counts, logOnce, () =>
      this.#planReport(),
    );
    this.#expiry = new Expiry(loop, this.#registry, this.#ender, settings.lifetimeMs);
    const shared = makeShared(loop, (error) => failed("a connection failed", error));
    this.#clients = new Clients(settings, ownUserNamespace, shared, (client) =>
      this.#responder.goOn(client),
    );
    this.#responder = new Responder(this.#registry, this.#clients, counts, log, logOnce);
    this.#listeners = options.listenerFds.map((fd) => ({
      fd,
      listener: new Listener(shared, (connection) => this.#responder.serve(connection), failed),
    }));
    try {
      restore(store, this.#registry, log, options.cgroupPids, ownInode);
    } catch (error) {
      if (!hasRunShort(error)) throw error;
      throw notTakenOver(error);
    }
  }

  /** Reports the number of names to the main thread, if it has changed. */
  #planReport(): void {
    if (this.#isReportPlanned || this.#registry.size === this.#reportedNames) return;
    this.#isReportPlanned = true;
    this.#loop.after(REPORT_INTERVAL_MS, () => {
      this.#isReportPlanned = false;
      this.#reportedNames = this.#registry.size;
      this.#parent.post("changed", this.#reportedNames);
    });
  }

  /**
   * Opens the store of an earlier run; undefined if there is none that can be used.
   * @throws StoreError if resources have run short. The store may be intact, so it must not be
   *   replaced by an empty one, and its inits must not be killed
   */
  #tryOpenInheritedStore(log: Logger): Store | undefined {
    if (this.#options.storeFd === undefined) return undefined;
    const fd = new Fd(this.#options.storeFd);
    try {
      return Store.open(fd);
    } catch (error) {
      if (hasRunShort(error)) throw notTakenOver(error);
      log(LOG_WARNING, `starting with an empty store: ${error}`);
      fd.close();
      return undefined;
    }
  }

  /** The requests and messages that the main thread can send. */
  readonly handlers: WorkerHandlers<NamespaceDialogue> = {
    requests: {
      store: () => ({ fd: this.#store.fd.number, isNew: this.#isNewStore }),
      serve: () => {
        for (const { fd, listener } of this.#listeners) listener.start(fd);
      },
      ping: () => undefined,
      status: () => this.#status(),
      names: (after, limit) => listNames(this.#registry, after, limit),
      name: (name) => findName(this.#registry, name),
      purge: (onlyIdle, names) => (answer) =>
        this.#purge(onlyIdle, names, (ended) => answer({ ended, left: this.#registry.size })),
    },
    commands: {
      configure: (settings) => this.#configure(settings),
      stop: (isLast) => this.#stop(isLast),
    },
  };

  #configure(settings: Settings): void {
    this.#registry.quotas = settings.quotas;
    this.#clients.configure(settings);
    this.#expiry.configure(settings.lifetimeMs);
  }

  #purge(
    onlyIdle: boolean,
    names: readonly string[] | undefined,
    done: (ended: number) => void,
  ): void {
    const only = names === undefined ? undefined : new Set(names);
    if (onlyIdle) this.#ender.endIdle(monotonicMs(), done, only);
    else this.#ender.endAll(done, only);
  }

  /**
   * Stops the service. If another daemon takes over, clients may make requests until the grace
   * period is over: a client that has connected but not yet made its request is served, and a
   * client that has its answer disconnects by itself.
   */
  #stop(isLast: boolean): void {
    for (const { listener } of this.#listeners) listener.stop();
    const endMs = isLast ? 0 : monotonicMs() + STOP_GRACE_MS;
    const look = () => {
      if (this.#clients.size > 0 && monotonicMs() < endMs) {
        this.#loop.after(10, look);
        return;
      }
      this.#finishConnections();
      if (isLast) this.#ender.killIdleInits(() => this.#loop.stop());
      else this.#loop.stop();
    };
    look();
  }

  /** Answers the requests that have arrived: first those of spawners, then those of strangers. */
  #finishConnections(): void {
    this.#finishClients();
    this.#clients.endWaiting();
    this.#finishClients();
  }

  /**
   * Answers the requests that have arrived from clients that are not in the waiting room. First
   * stops all of these clients from sending more, so that there is no more to answer than their
   * sockets hold.
   */
  #finishClients(): void {
    const clients = this.#clients.all();
    for (const { connection } of clients) connection.stopReceiving();
    for (const { connection } of clients) connection.finish();
  }

  #status(): NamespaceMetrics {
    return { ...this.#gauges(), ...this.#counts };
  }

  #gauges(): NamespaceGauges {
    const kept = forEachKind(() => 0);
    const { quotas } = this.#registry;
    let leasedNames = 0;
    for (const set of this.#registry.sets()) {
      for (const kind of set.kinds()) kept[kind]++;
      if (set.isLeased) leasedNames++;
    }
    return {
      names: this.#registry.size,
      namesOfOneUid: this.#registry.mostOfOneUid,
      namesPerUidLimit: quotas.namesPerUid,
      namesLimit: quotas.names,
      userNamespacesLimit: quotas.userNamespaces,
      leasedNames,
      kept,
      openDescriptors: this.#descriptors.size,
      connections: this.#clients.size,
      admittedConnections: this.#clients.admitted,
      connectionsLimit: quotas.connections,
      connectionsOfOneUid: this.#clients.admittedOfOneUid,
      connectionsPerUidLimit: quotas.connectionsPerUid,
    };
  }
}

/**
 * Makes the error with which the thread ends if it cannot take over what an earlier run has left.
 * The main thread then ends the daemon before it tells the service manager anything, so that the
 * next start finds the same store and the same inits.
 */
function notTakenOver(cause: unknown): StoreError {
  const reason = errorText(cause);
  return new StoreError(`cannot take over the namespaces of an earlier run: ${reason}`, { cause });
}
