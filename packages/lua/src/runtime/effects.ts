/**
 * What a run of a script has done outside of its process: it decides whether the run may
 * be repeated after a failure. Before the first effect the daemon is asked, which writes
 * down that the run has begun.
 */

/** `unanswered`: something was sent, and it is not known whether it took effect. */
export type Effect = "none" | "taken" | "unanswered";

/** `connection`: the database could not be reached, or the session was lost. */
export type FailureCause = "script" | "connection";

/** How libraries tell of effects. They ask in front of each, and tell right after it. */
export interface Effects {
  /**
   * To be called before something takes effect. Returns undefined if it may at once; else
   * when the promise is fulfilled. If it is rejected, nothing may take effect.
   */
  begin(): Promise<void> | undefined;
  /**
   * The same for functions that cannot wait. Blocks until the daemon has answered.
   * @throws Error if nothing may take effect
   */
  beginSync(): void;
  /** Something has taken effect. */
  taken(): void;
  /**
   * Something was sent, and its answer is not there yet. Returns the function to call
   * with what came of it, once: `unanswered` if no answer can come any more.
   */
  sent(): (came: Effect) => void;
  readonly state: Effect;
}

/** How the daemon is asked whether a run may begin. */
export interface BeginRequest {
  /** Asks, and resolves when it was granted. @throws Error (rejects) if it was refused */
  ask(): Promise<void>;
  /** Blocks until what was asked is granted, and asks if nobody has. @throws Error if refused */
  askSync(): void;
}

export class RunEffects implements Effects {
  /** Undefined if nobody has to be asked: the run has begun, or bears repetition. */
  #request: BeginRequest | undefined;
  #beginning: Promise<void> | undefined;
  #taken = false;
  /** How many answers may still come. */
  #awaited = 0;
  #isUnknown = false;
  #onAnswered: (() => void) | undefined;

  /** @param request undefined for runs that bear repetition */
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

  /** Calls back when all that was sent is answered, or after `timeoutMs`; at once if it is. */
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
