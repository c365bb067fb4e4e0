/**
 * Owns the script hosts: the one in charge, its successor if one is being started, and retired
 * script hosts, which end when their handlers have ended. There are at most four in all, not
 * counting those that were told to end immediately.
 */
import type { ScriptHost } from "@cm4all/lua";

/** The maximum number of retired script hosts; the oldest is stopped if there would be more. */
const MAX_RETIRED = 2;

export class Succession {
  #inCharge: ScriptHost | undefined;
  #successor: ScriptHost | undefined;
  /** Script hosts that were in charge, and whose handlers may still run; the oldest is first. */
  readonly #retired = new Set<ScriptHost>();

  /** The script host in charge. */
  get inCharge(): ScriptHost | undefined {
    return this.#inCharge;
  }

  /** The script host that takes over when its script is loaded or found to be unusable. */
  get successor(): ScriptHost | undefined {
    return this.#successor;
  }

  /** Sets the successor. The caller has dropped the previous one. */
  prepare(host: ScriptHost): void {
    this.#successor = host;
  }

  /**
   * Called when a script host has loaded its script or found it unusable. Puts the script host in
   * charge if it is the successor.
   */
  isLoaded(host: ScriptHost): void {
    if (host !== this.#successor) return;
    this.#successor = undefined;
    this.putInCharge(host);
  }

  /** Puts a script host in charge, or none. The previous one ends when its handlers have ended. */
  putInCharge(host: ScriptHost | undefined): void {
    const old = this.#inCharge;
    this.#inCharge = host;
    if (old === undefined) return;
    this.#retired.add(old);
    ignoreState(old);
    void old.stop(old.options.handlerTimeoutMs).then(() => this.#retired.delete(old));
    // Some of these may have been told before to end immediately; a second call has no effect.
    for (const tooOld of [...this.#retired].slice(0, -MAX_RETIRED)) void tooOld.stop(0);
  }

  /** Ends the successor, if there is one, immediately: it is not running any handlers yet. */
  dropSuccessor(): void {
    const host = this.#successor;
    if (host === undefined) return;
    this.#successor = undefined;
    ignoreState(host);
    void host.stop(0);
  }

  /** Ends all script hosts immediately. */
  async stop(): Promise<void> {
    const hosts = [this.#inCharge, this.#successor, ...this.#retired];
    await Promise.all(hosts.map((host) => host?.stop(0)));
  }
}

/**
 * Ignores the state of a script host that is no longer wanted; errors and output of its script are
 * still logged.
 */
function ignoreState(host: ScriptHost): void {
  for (const event of ["state", "ready", "unusable", "ended"] as const)
    host.removeAllListeners(event);
}
