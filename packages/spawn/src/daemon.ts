/** Runs the daemon's main thread: starts the parts of the daemon, and ends them on a signal. */
import type { Server } from "node:net";
import {
  amount,
  CommandFailure,
  EX_CONFIG,
  EX_OSERR,
  EX_SOFTWARE,
  explainDefect,
  explainFailure,
  inOneLine,
} from "@cm4all/command";
import {
  callEngine,
  errorText,
  exitImmediately,
  type Fd,
  freeMemory,
  isShortage,
  QUIET_MS,
  setThreadName,
} from "@cm4all/linux";
import { Lull } from "@cm4all/supervision";
import { CgroupService } from "./cgroup-service.ts";
import type { Config } from "./config.ts";
import { ConfigFile } from "./config-file.ts";
import {
  answerRequest,
  type ControlRequest,
  type DaemonParts,
  type ReloadResult,
} from "./control/commands.ts";
import { listenForControl } from "./control/server.ts";
import { LOG_ERR, LOG_INFO, LOG_NOTICE, LOG_WARNING, type Logger, openLog } from "./log/log.ts";
import { LogOnce } from "./log/log-once.ts";
import { type NamespaceThread, startNamespaceThread } from "./namespaces/thread.ts";
import { MetricsEndpoint } from "./prometheus/endpoint.ts";
import { listenAgain } from "./sockets/listen-again.ts";
import { makeRoomForDescriptors } from "./startup/descriptors.ts";
import { STORE_NAME, takePassedDescriptors } from "./startup/inherited.ts";
import { openListener } from "./startup/listener.ts";
import { checkRequirements } from "./startup/requirements.ts";
import { measureDaemon } from "./status/daemon-metrics.ts";
import { findProblems } from "./status/health.ts";
import type { DaemonStatus, MeasuredStatus } from "./status/status.ts";
import { Notifier, watchdogIntervalMs } from "./systemd/notify.ts";
import { readOwnCgroupPids } from "./systemd/own-cgroup.ts";
import { ThreadEndedError } from "./thread/worker-thread.ts";

/**
 * The longest time that stopping may take in addition to the time for handlers, even if something
 * hangs. If the stop is cut short, records survive nevertheless, and so do namespaces if the
 * service manager keeps their store.
 */
const STOP_TIMEOUT_MS = 800;

/** How long a reload waits for the script to be loaded. */
const SCRIPT_LOAD_TIMEOUT_MS = 10_000;

export interface DaemonOptions {
  readonly configFile: string | undefined;
  /** Returns a configuration with the values of the command line, which take precedence. */
  readonly override: (config: Config) => Config;
  readonly verbose: boolean;
}

/**
 * Runs the daemon until a signal ends the process.
 * @throws CommandFailure (rejects) if it cannot start
 */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const log = openLog(options.verbose);
  // Otherwise the thread would have Node's name, because env(1) in the program's first line
  // executes Node.
  setThreadName("cm4all-spawn");
  checkRequirements();
  const file = new ConfigFile(options.configFile, options.override);
  const daemon = new Daemon(file, options.verbose, log);
  try {
    // Both concurrently, because a signal may end the daemon while it is starting.
    await Promise.all([daemon.start(file.started).catch(ignoreThreadEnd), daemon.untilEnd()]);
  } catch (error) {
    // `exitImmediately`, because other threads would keep the process alive.
    const { message, exitStatus } = explainFailure(error);
    log(LOG_ERR, inOneLine(message));
    exitImmediately(exitStatus);
  }
}

/** Ignores the end of a thread, which `Daemon.untilEnd` handles. */
function ignoreThreadEnd(error: unknown): void {
  if (!(error instanceof ThreadEndedError)) throw error;
}

/**
 * Returns undefined if the service manager cannot be reached; the daemon then runs without it.
 * @throws SyscallError if memory or descriptors are short: the service manager may be running. A
 *   daemon that went on without it would lose a new store and kill idle inits when it stops
 */
function tryOpenNotifier(log: Logger): Notifier | undefined {
  const address = process.env["NOTIFY_SOCKET"];
  try {
    return Notifier.open(address);
  } catch (error) {
    if (isShortage(error)) throw error;
    log(
      LOG_WARNING,
      `cannot reach the service manager at ${address}, going on without it: ${errorText(error)}`,
    );
    return undefined;
  }
}

class Daemon {
  readonly #configFile: ConfigFile;
  readonly #verbose: boolean;
  readonly #log: Logger;
  readonly #notifier: Notifier | undefined;
  readonly #listeners: readonly Fd[];
  readonly #namespaces: NamespaceThread;
  #cgroups: CgroupService | undefined;
  #cgroupsStopped: Promise<void> | undefined;
  #stopGraceMs: number;
  #control: Server | undefined;
  /** Aborted when the daemon stops. */
  readonly #stopping = new AbortController();
  readonly #metrics: MetricsEndpoint;
  #names = 0;
  #isServing = false;
  #isStopping = false;

  /** Starts the thread of the namespace service; signals are caught from then on. */
  constructor(configFile: ConfigFile, verbose: boolean, log: Logger) {
    const config = configFile.started;
    this.#configFile = configFile;
    this.#verbose = verbose;
    this.#log = log;
    this.#notifier = tryOpenNotifier(log);
    delete process.env["NOTIFY_SOCKET"];
    const inherited = takePassedDescriptors(log);
    this.#listeners =
      inherited.listeners.length > 0
        ? inherited.listeners
        : [openListener(config.namespaces.listen)];
    this.#namespaces = startNamespaceThread(
      {
        listenerFds: this.#listeners.map(({ number }) => number),
        storeFd: inherited.storeFd,
        // Only a service has its own cgroup; a program in a terminal shares the session's cgroup.
        cgroupPids: this.#notifier === undefined ? [] : readOwnCgroupPids(),
        settings: config.namespaces.settings,
      },
      log,
      {
        changed: (names) => this.#changed(names),
        unusable: (reason) => this.#fail(new CommandFailure(reason, EX_OSERR)),
      },
    );
    makeRoomForDescriptors(log);
    this.#metrics = new MetricsEndpoint(() => this.#status(), log);
    this.#stopGraceMs = config.accounting.stopGraceMs;
    this.#catchCrashes();
    this.#catchSignals();
  }

  async start({ namespaces, control, metrics, reaper, accounting }: Config): Promise<void> {
    await this.#keepStore(await this.#namespaces.request("store"));
    if (control.socket !== "") await this.#listenForControl(control.socket);
    await this.#namespaces.request("serve");
    this.#isServing = true;
    if (this.#isStopping) return;
    this.#log(LOG_INFO, `listening on ${namespaces.listen}`);
    this.#metrics.configure(metrics.listen);
    // The reaper starts after the namespace service, because clients wait for that service.
    if (reaper.enabled)
      this.#cgroups = CgroupService.start(reaper, accounting, this.#verbose, this.#log);
    await this.#notifyReady([this.#statusLine()]);
    this.#startWatchdog();
    // After the start, half of the memory in use is garbage.
    new Lull(QUIET_MS, freeMemory).worked();
  }

  /**
   * Has the service manager keep the store of namespaces, before a client gets an answer that
   * relies on this.
   */
  async #keepStore({ fd, isNew }: { fd: number; isNew: boolean }): Promise<void> {
    if (this.#notifier === undefined || !isNew) return;
    const name = `FDNAME=${STORE_NAME}`;
    const isStored =
      // First removes the entry of an earlier run, if any: this run could not use it.
      (await this.#notifier.send(["FDSTOREREMOVE=1", name])) &&
      (await this.#notifier.send(["FDSTORE=1", name, "FDPOLL=0"], [fd])) &&
      (await this.#notifier.barrier());
    if (!isStored)
      this.#log(
        LOG_WARNING,
        "the service manager does not answer: namespaces may not survive a restart",
      );
  }

  /** Reports the end of a start or of a reload. */
  async #notifyReady(lines: readonly string[] = []): Promise<void> {
    if ((await this.#notifier?.send(["READY=1", ...lines])) === false)
      this.#log(
        LOG_WARNING,
        "the service manager does not take READY=1: it may end the daemon when its time limit expires",
      );
  }

  /** Listens on the control socket; retries in the background, because spawners do not need it. */
  async #listenForControl(path: string): Promise<void> {
    const { signal } = this.#stopping;
    const once = new LogOnce(this.#log);
    const answer = (request: ControlRequest) => answerRequest(this.#parts, request);
    await listenAgain(
      async () => {
        const server = await listenForControl(path, answer, this.#log);
        if (signal.aborted) server.close();
        else this.#control = server;
      },
      (problem) => once.log(problem, LOG_WARNING, `${problem}; trying again`),
      signal,
    );
  }

  #catchCrashes(): void {
    const fail = (error: unknown) => this.#fail(error);
    process.on("uncaughtException", fail);
    process.on("unhandledRejection", fail);
    this.#namespaces.ended.catch(fail);
  }

  #fail(error: unknown): never {
    // Once the daemon serves clients, expected system errors are handled where they occur, so an
    // error that arrives here is a defect.
    const isDefect = this.#isServing && !(error instanceof CommandFailure);
    const { message, exitStatus } = (isDefect ? explainDefect : explainFailure)(error);
    const line = inOneLine(message);
    this.#log(LOG_ERR, exitStatus === EX_SOFTWARE ? `crashed: ${line}` : line);
    exitImmediately(exitStatus);
  }

  #catchSignals(): void {
    for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const)
      process.on(signal, () => this.#stop(signal));
    // `#reload` has logged the error.
    process.on("SIGHUP", () => void this.#reload().catch(() => undefined));
  }

  #stop(signal: string): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#log(LOG_NOTICE, `stopping on ${signal}`);
    this.#notifier?.trySend(["STOPPING=1"]);
    this.#stopping.abort();
    this.#control?.close();
    this.#metrics.close();
    // Without a service manager, the store ends with this process, and no later daemon could end
    // the inits of unused names.
    this.#namespaces.post("stop", this.#notifier === undefined);
    this.#cgroupsStopped = this.#cgroups?.stop(this.#stopGraceMs);
    setTimeout(() => {
      this.#log(LOG_WARNING, "stopping takes too long; ending immediately");
      exitImmediately(0);
    }, STOP_TIMEOUT_MS + this.#stopGraceMs);
  }

  /**
   * Reads the configuration again.
   * @throws CommandFailure (rejects) if the configuration or the script cannot be used
   */
  async #reload(): Promise<ReloadResult> {
    const usec = process.hrtime.bigint() / 1000n;
    this.#notifier?.trySend(["RELOADING=1", `MONOTONIC_USEC=${usec}`]);
    try {
      this.#applyFile();
    } catch (error) {
      this.#log(LOG_ERR, `keeping the old configuration: ${inOneLine(errorText(error))}`);
      throw error;
    } finally {
      await this.#notifyReady();
    }
    const problem = await this.#cgroups?.scriptProblem(SCRIPT_LOAD_TIMEOUT_MS);
    // `ScriptSink` has logged the problem.
    if (problem !== undefined)
      throw new CommandFailure(`the accounting script cannot be used: ${problem}`, EX_CONFIG);
    return {
      waitsForRestart: this.#configFile.waitsForRestart,
      isScriptOutdated: this.#cgroups?.isScriptOutdated ?? false,
    };
  }

  /** Reads the configuration file and applies it. @throws CommandFailure as `readConfig` does */
  #applyFile(): void {
    const config = this.#configFile.reload();
    this.#namespaces.post("configure", config.namespaces.settings);
    if (!this.#isStopping) this.#metrics.configure(config.metrics.listen);
    this.#cgroups?.reload(config.accounting);
    this.#stopGraceMs = config.accounting.stopGraceMs;
    const left = [
      ...this.#configFile.waitsForRestart,
      ...(this.#cgroups?.isScriptOutdated === true ? ["the changed script"] : []),
    ];
    const rest = left.length === 0 ? "" : `; only a restart applies ${left.join(", ")}`;
    this.#log(LOG_NOTICE, `reloaded the configuration${rest}`);
  }

  #changed(names: number): void {
    this.#names = names;
    this.#notifier?.trySend([this.#statusLine()]);
  }

  #statusLine(): string {
    return `STATUS=${amount(this.#names, "name")}`;
  }

  /** Keeps the service manager's watchdog from expiring as long as the other threads answer. */
  #startWatchdog(): void {
    const intervalMs = watchdogIntervalMs(process.env, process.pid);
    if (intervalMs === undefined || this.#notifier === undefined) return;
    const notifier = this.#notifier;
    setInterval(() => {
      const answers = Promise.all([this.#namespaces.request("ping"), this.#cgroups?.ping()]);
      answers.then(() => notifier.trySend(["WATCHDOG=1"])).catch(ignoreThreadEnd);
    }, intervalMs / 3).unref();
  }

  get #parts(): DaemonParts {
    return {
      namespaces: this.#namespaces,
      accounting: this.#cgroups?.records,
      status: () => this.#status(),
      reload: () => this.#reload(),
    };
  }

  async #status(): Promise<DaemonStatus> {
    const measured = await this.#measure();
    const problems = findProblems(measured);
    return { state: problems.length === 0 ? "well" : "degraded", problems, ...measured };
  }

  async #measure(): Promise<MeasuredStatus> {
    const { state, status } = this.#configFile.measure();
    return {
      version: __VERSION__,
      pid: process.pid,
      uptimeSeconds: process.uptime(),
      systemCalls: callEngine,
      configuration: status,
      isReaping: this.#configFile.started.reaper.enabled,
      daemon: measureDaemon(this.#configFile.failedReloads, state),
      namespace: await this.#namespaces.request("status"),
      ...(await this.#cgroups?.status()),
      metrics: this.#metrics.status,
    };
  }

  /** Waits for the end of the namespace service, and ends the process. */
  async untilEnd(): Promise<never> {
    await this.#namespaces.ended;
    if (!this.#isStopping) {
      this.#log(LOG_ERR, "the namespace service ended by itself");
      exitImmediately(EX_OSERR);
    }
    await this.#cgroupsStopped;
    exitImmediately(0);
  }
}
