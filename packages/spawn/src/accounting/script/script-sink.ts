/**
 * Calls handlers in the script host for the queue.
 *
 * Invariants:
 * - The state is `idle` only if there is no handler: not while a script host starts, is replaced or
 *   has ended, and not if the script cannot be read.
 * - At most one script host is in charge. When a new configuration needs another one, the old one,
 *   if it calls handlers, continues until its successor has loaded its script or found it unusable.
 *   Handlers that are then still running in the old one may finish, because a handler that is
 *   interrupted may have had an effect; succession.ts limits the number of old ones. If there are
 *   several changes, the last one counts.
 */
import { statSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { EncodedRecord } from "@cm4all/cgroup";
import { inOneLine } from "@cm4all/command";
import { errorText } from "@cm4all/linux";
import {
  type Handlers,
  NO_HANDLERS,
  type Outcome,
  type Run,
  ScriptHost,
  type ScriptHostOptions,
} from "@cm4all/lua";
import type { AccountingConfig } from "../../config/accounting.ts";
import { LOG_ERR, LOG_INFO, LOG_WARNING, type Logger } from "../../log/log.ts";
import { Loading } from "./loading.ts";
import {
  type ChosenScript,
  chooseScript,
  explainUnusable,
  hostOptions,
  userWarning,
} from "./script.ts";
import type { AccountingSink, SinkState } from "./sink.ts";
import { Succession } from "./succession.ts";

export class ScriptSink implements AccountingSink {
  readonly #log: Logger;
  readonly #listeners: (() => void)[] = [];
  readonly #hosts = new Succession();
  readonly #loading = new Loading();
  /** The state while no script host is in charge. */
  #withoutHost: SinkState = "starting";
  #problem: string | undefined;
  /** The script's modification time when the latest process of each script host was started. */
  readonly #loadedMtimeMs = new WeakMap<ScriptHost, number | undefined>();
  /** The number of times that a script host in use has ended by itself. */
  hostRestarts = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** The script host in charge. */
  get #host(): ScriptHost | undefined {
    return this.#hosts.inCharge;
  }

  get state(): SinkState {
    return this.#host === undefined ? this.#withoutHost : stateOf(this.#host);
  }

  /**
   * The path of the script that runs or is to run; undefined if there is none, or if one with a
   * default name cannot be read.
   */
  get script(): string | undefined {
    return this.#host?.options.script;
  }

  /** Why no handler can be called; undefined unless the state is `down`. */
  get problem(): string | undefined {
    return this.state === "down" ? this.#problem : undefined;
  }

  /**
   * True if the configured script was changed after it was loaded: only a new process reads
   * it again.
   */
  get isOutdated(): boolean {
    const host = this.#hosts.successor ?? this.#host;
    if (host === undefined) return false;
    return tryReadMtimeMs(host.options.script) !== this.#loadedMtimeMs.get(host);
  }

  /**
   * Waits up to `timeoutMs` for the script that was configured last to be loaded, or to be found
   * unusable. Returns whether that has happened.
   */
  async settled(timeoutMs: number): Promise<boolean> {
    const isKnown = await this.#loading.ended(timeoutMs);
    if (!isKnown)
      this.#log(LOG_WARNING, `the script is still not loaded after ${timeoutMs / 1000} s`);
    return isKnown;
  }

  get room(): number {
    return this.#host?.room ?? 0;
  }

  onStateChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  get handlers(): Handlers {
    return this.#host?.handlers ?? NO_HANDLERS;
  }

  async run(records: readonly EncodedRecord[], run: Run): Promise<Outcome> {
    if (this.#host === undefined) throw new Error("there is no script host");
    return this.#host.run(records, run);
  }

  /**
   * Runs the script of the configuration. If it already runs with the same options, calls its
   * function `reload`; otherwise starts a script host for it. The default script of the package
   * does nothing, and is not run.
   */
  configure(config: AccountingConfig): void {
    let script: ChosenScript;
    try {
      script = chooseScript(config);
    } catch (error) {
      const reason = errorText(error);
      this.#problem = `it cannot be read: ${reason}`;
      this.#log(LOG_ERR, `cgroups wait until the script can be read and is reloaded: ${reason}`);
      this.#runNone("down");
      return;
    }
    const { path, warning } = script;
    if (warning !== undefined) this.#log(LOG_WARNING, warning);
    if (path === undefined) this.#runNone("idle");
    else this.#run(hostOptions(config, path), config);
  }

  #runNone(state: SinkState): void {
    this.#hosts.dropSuccessor();
    this.#withoutHost = state;
    this.#hosts.putInCharge(undefined);
    this.#tell();
    this.#loading.end();
  }

  #run(options: ScriptHostOptions, config: AccountingConfig): void {
    this.#loading.begin();
    const { successor } = this.#hosts;
    if (isDeepStrictEqual(successor?.options, options)) {
      successor?.reload();
      return;
    }
    this.#hosts.dropSuccessor();
    if (isDeepStrictEqual(this.#host?.options, options)) {
      if (this.#host?.state === "ready") this.#loading.end();
      this.#host?.reload();
      return;
    }
    const warning = userWarning(config);
    if (warning !== undefined) this.#log(LOG_WARNING, warning);
    const host = new ScriptHost(options);
    this.#listen(host, config);
    // A script host that calls no handler is replaced immediately: the state must not stay `idle`
    // meanwhile.
    if (this.state === "ready") this.#hosts.prepare(host);
    else this.#hosts.putInCharge(host);
    host.start();
  }

  #changed(host: ScriptHost): void {
    if (host.state !== "starting") this.#hosts.isLoaded(host);
    if (host === this.#host) this.#tell();
  }

  #listen(host: ScriptHost, config: AccountingConfig): void {
    host.on("state", () => {
      if (host.state === "starting")
        this.#loadedMtimeMs.set(host, tryReadMtimeMs(host.options.script));
      this.#changed(host);
    });
    host.on("ready", (warning) => {
      const { options, place } = host;
      if (warning === undefined)
        this.#log(LOG_INFO, `accounting with ${options.script} in ${place}`);
      else this.#log(LOG_WARNING, inOneLine(warning));
      this.#loading.end();
    });
    host.on("child", (reason) =>
      this.#log(
        LOG_WARNING,
        `the script runs in a child process of the daemon, not in a unit of its own: ${reason}`,
      ),
    );
    host.on("unusable", (said, traceback) => {
      const message = explainUnusable(said, config);
      this.#problem = message;
      this.#log(
        LOG_ERR,
        `cgroups wait until the script is usable and reloaded: ${inOneLine(message, traceback)}`,
      );
      this.#loading.end();
    });
    host.on("ended", (reason, restartInMs) => {
      this.hostRestarts++;
      this.#problem = `its process has ended: ${reason}`;
      this.#log(
        LOG_ERR,
        `the script host ended, starting another in ${restartInMs / 1000} s: ${inOneLine(reason)}`,
      );
      this.#loading.end();
    });
    host.on("scriptError", (source, message, traceback) =>
      this.#log(LOG_ERR, `${source}: ${inOneLine(message, traceback)}`),
    );
    host.on("notice", (text) => this.#log(LOG_INFO, inOneLine(text)));
    host.on("outputLost", (reason) =>
      this.#log(LOG_WARNING, `the output of the accounting script is lost: ${reason}`),
    );
    host.on("leftOut", (count) =>
      this.#log(LOG_WARNING, `${count} messages of the script were left out: it prints too much`),
    );
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  async stop(): Promise<void> {
    await this.#hosts.stop();
  }
}

/**
 * Returns a file's modification time; undefined if the file is missing or its status cannot be
 * read.
 */
function tryReadMtimeMs(path: string): number | undefined {
  try {
    return statSync(path).mtimeMs;
  } catch {
    // The script host reports the error when it reads the file.
    return undefined;
  }
}

function stateOf(host: ScriptHost): SinkState {
  switch (host.state) {
    case "stopped":
    case "starting":
      return "starting";
    case "ready":
      return host.handlers.released === "none" ? "idle" : "ready";
    case "unusable":
      return "down";
    case "pausing":
      // The script may have a handler by now: the next process finds out.
      return host.handlers.released === "none" ? "starting" : "down";
  }
}
