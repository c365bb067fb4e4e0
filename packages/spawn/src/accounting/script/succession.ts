/**
 * The script hosts: one is in charge, another may be about to follow it, and those that were
 * in charge end when their handlers have. There are never more than four processes.
 */
import type { ScriptHost } from "@cm4all/lua";

const MAX_RETIRED = 2;

export class Succession {
  #inCharge: ScriptHost | undefined;
  #successor: ScriptHost | undefined;
  /** Were in charge, and have handlers that still run; the oldest is first. */
  readonly #retired = new Set<ScriptHost>();

  /** The host in charge. */
  get inCharge(): ScriptHost | undefined {
    return this.#inCharge;
  }

  /** Takes over when it is known whether its script can be used. */
  get successor(): ScriptHost | undefined {
    return this.#successor;
  }

  /** Sets who follows; the caller has dropped the one before. */
  prepare(host: ScriptHost): void {
    this.#successor = host;
  }

  /** A host has looked at its script: if it is the successor, it takes over. */
  isLoaded(host: ScriptHost): void {
    if (host !== this.#successor) return;
    this.#successor = undefined;
    this.putInCharge(host);
  }

  /** Puts a host in charge, or none; the one before ends when its handlers have. */
  putInCharge(host: ScriptHost | undefined): void {
    const old = this.#inCharge;
    this.#inCharge = host;
    if (old === undefined) return;
    const [oldest] = this.#retired;
    if (this.#retired.size >= MAX_RETIRED) void oldest?.stop(0);
    this.#retired.add(old);
    ignoreState(old);
    void old.stop(old.options.handlerTimeoutMs).then(() => this.#retired.delete(old));
  }

  /** Ends the host that was to take over, at once; it calls no handlers yet. */
  dropSuccessor(): void {
    const host = this.#successor;
    if (host === undefined) return;
    this.#successor = undefined;
    ignoreState(host);
    void host.stop(0);
  }

  /** Ends all of them at once. */
  async stop(): Promise<void> {
    const hosts = [this.#inCharge, this.#successor, ...this.#retired];
    await Promise.all(hosts.map((host) => host?.stop(0)));
  }
}

/** The script of a host that is no longer wanted may still fail and say things; its state means nothing. */
function ignoreState(host: ScriptHost): void {
  for (const event of ["state", "ready", "unusable", "ended"] as const)
    host.removeAllListeners(event);
}
