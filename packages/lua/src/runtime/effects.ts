/**
 * The effects of a run outside its process, which decide whether the run may be repeated after a
 * failure. Before the first effect, the daemon is asked, and records that the run has begun.
 */

/** `unanswered`: something was sent, and it is not known whether it took effect. */
export type Effect = "none" | "taken" | "unanswered";

/** `connection`: the database could not be reached, or the session was lost. */
export type FailureCause = "script" | "connection";

/**
 * The interface by which libraries report effects. A library asks before each effect, and reports
 * the effect right after it.
 */
export interface Effects {
  /**
   * Asks whether the run may have an effect. Returns undefined if it may have one immediately;
   * otherwise a promise that is fulfilled when it may. If the promise is rejected, the run must not
   * have any effect.
   */
  begin(): Promise<void> | undefined;
  /**
   * Asks, like `begin`, but blocks until the daemon has answered: for functions that cannot be
   * suspended.
   * @throws Error if the run must not have any effect
   */
  beginSync(): void;
  /** Reports that something has taken effect. */
  taken(): void;
  /**
   * Reports that something was sent whose answer has not arrived yet. Returns a function that has
   * to be called once, with the outcome, which is `unanswered` if no answer can arrive any more.
   */
  sent(): (came: Effect) => void;
  readonly state: Effect;
}

/** The question to the daemon whether a run may begin. */
export interface BeginRequest {
  /** Asks. Resolves when the request is granted, rejects with an Error if it is refused. */
  ask(): Promise<void>;
  /**
   * Asks, unless `ask` has asked already, and blocks until the request is granted.
   * @throws Error if it is refused
   */
  askSync(): void;
}

export class RunEffects implements Effects {
  /** Undefined if there is nothing to ask: the run has begun, or may be repeated. */
  #request: BeginRequest | undefined;
  #beginning: Promise<void> | undefined;
  #taken = false;
  /** The number of answers that may still arrive. */
  #awaited = 0;
  #isUnknown = false;
  #onAnswered: (() => void) | undefined;

  /** @param request undefined for runs that may be repeated */
  constructor(request: BeginRequest | undefined) {
    this.#request = request;
  }

  begin(): Promise<void> | undefined {
    if (this.#request === undefined) return undefined;
    this.#beginning ??= this.#request.ask().then(() => this.#hasBegun());
    return this.#beginning;
  }

  beginSync(): void {
    this.#request?.askSync();
    this.#hasBegun();
  }

  #hasBegun(): void {
    this.#request = undefined;
  }

  taken(): void {
    this.#taken = true;
  }

  sent(): (came: Effect) => void {
    this.#awaited++;
    let isAnswered = false;
    return (came) => {
      if (isAnswered) return;
      isAnswered = true;
      if (came === "taken") this.#taken = true;
      if (came === "unanswered") this.#isUnknown = true;
      this.#awaited--;
      if (this.#awaited === 0) this.#onAnswered?.();
    };
  }

  get state(): Effect {
    if (this.#awaited > 0 || this.#isUnknown) return "unanswered";
    return this.#taken ? "taken" : "none";
  }

  /** Calls back when everything that was sent has been answered, or after `timeoutMs`. */
  whenAnswered(timeoutMs: number, callback: () => void): void {
    if (this.#awaited === 0) {
      callback();
      return;
    }
    const settle = () => {
      clearTimeout(timer);
      this.#onAnswered = undefined;
      callback();
    };
    const timer = setTimeout(settle, timeoutMs);
    this.#onAnswered = settle;
  }
}
