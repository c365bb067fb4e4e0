/** Handlers in the script host, as the queue sees them. */
import { type CgroupSnapshot, type HostState, ScriptHost } from "@cm4all/lua";
import type { AccountingConfig } from "../config.ts";
import { LOG_ERR, LOG_INFO, LOG_WARNING, type Logger } from "../log.ts";
import { type ChosenScript, chooseScript, hostOptions } from "./script.ts";
import type { AccountingSink, SinkState } from "./sink.ts";

const STATES: Record<HostState, SinkState> = {
  stopped: "starting",
  starting: "starting",
  ready: "ready",
  unusable: "down",
  pausing: "down",
};

export class ScriptSink implements AccountingSink {
  #config: AccountingConfig;
  readonly #cgroupRoot: string;
  readonly #log: Logger;
  readonly #listeners: (() => void)[] = [];
  #host: ScriptHost | undefined;

  constructor(config: AccountingConfig, cgroupRoot: string, log: Logger) {
    this.#config = config;
    this.#cgroupRoot = cgroupRoot;
    this.#log = log;
  }

  get state(): SinkState {
    if (this.#host === undefined) return "idle";
    const state = STATES[this.#host.state];
    return state === "ready" && !this.#host.hasHandler ? "idle" : state;
  }

  onStateChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async account(snapshot: CgroupSnapshot): Promise<void> {
    if (this.#host === undefined) return;
    const outcome = await this.#host.run(snapshot);
    if (outcome.type === "failed")
      throw new Error([outcome.message, outcome.traceback].filter(Boolean).join("\n"));
    if (outcome.type === "interrupted") throw new Error(outcome.message);
  }

  /** Starts the script, if there is one besides the packaged default. */
  start(): void {
    const script = this.#choose();
    if (script?.path === undefined) return;
    const host = new ScriptHost(hostOptions(this.#config, script.path, this.#cgroupRoot));
    this.#host = host;
    this.#listen(host);
    host.start();
  }

  #choose(): ChosenScript | undefined {
    try {
      const script = chooseScript(this.#config);
      if (script.warning !== undefined) this.#log(LOG_WARNING, script.warning);
      return script;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#log(LOG_ERR, `cgroups are not accounted: ${reason}`);
      return undefined;
    }
  }

  #listen(host: ScriptHost): void {
    const withTraceback = (message: string, traceback: string | undefined) =>
      traceback === undefined ? message : `${message}\n${traceback}`;
    host.on("state", () => this.#tell());
    host.on("ready", (warning) => {
      if (warning === undefined) this.#log(LOG_INFO, `accounting with ${host.script}`);
      else this.#log(LOG_WARNING, warning);
    });
    host.on("unusable", (message, traceback) =>
      this.#log(
        LOG_ERR,
        `cgroups wait until the script is usable and reloaded: ${withTraceback(message, traceback)}`,
      ),
    );
    host.on("scriptError", (source, message, traceback) =>
      this.#log(LOG_ERR, `${source}: ${withTraceback(message, traceback)}`),
    );
    host.on("notice", (text) => this.#log(LOG_INFO, text));
    host.on("ended", (reason, restartInMs) =>
      this.#log(
        LOG_ERR,
        `the script host ended, starting another in ${restartInMs / 1000} s: ${reason}`,
      ),
    );
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Calls the script's `reload`; a script of another path, or a new one, is started. */
  async reload(config: AccountingConfig): Promise<void> {
    this.#config = config;
    const script = this.#choose();
    if (script !== undefined && script.path === this.#host?.script) {
      this.#host?.reload();
      return;
    }
    const old = this.#host;
    this.#host = undefined;
    old?.removeAllListeners();
    await old?.stop(0);
    this.start();
    this.#tell();
  }

  async stop(): Promise<void> {
    await this.#host?.stop(0);
  }
}
