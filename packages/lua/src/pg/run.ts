/**
 * A run of the script, as connections see it: it owns statements, and reports its end to the
 * connections that it has used.
 */
import { bytesOfText, concatBytes } from "@cm4all/linux";
import type { Effects } from "../runtime/effects.ts";
import type { FailureCause, ScriptFailure, Task } from "../runtime/task.ts";

/** A connection that a run has used. */
interface Used {
  /**
   * Called when the run is over.
   * @param hasFailed true if the run has failed, so that its statement is cancelled
   * @returns true if the run has left a transaction open, which is rolled back
   */
  leave(run: PgRun, hasFailed: boolean): boolean;
}

export class PgRun {
  readonly #task: Task | undefined;
  readonly #used = new Set<Used>();
  #state: "running" | "ended" | "failed";

  private constructor(task: Task | undefined) {
    this.#task = task;
    // Code outside a task has no end to wait for.
    this.#state = task === undefined ? "ended" : "running";
    task?.atEnd((failure) => this.#end(task, failure));
  }

  static readonly #ofTasks = new WeakMap<Task, PgRun>();

  /**
   * Returns the object for a task, the same at each call.
   * @param task undefined for code outside tasks, which gets a new object at each call
   */
  static of(task: Task | undefined): PgRun {
    if (task === undefined) return new PgRun(undefined);
    let run = PgRun.#ofTasks.get(task);
    if (run === undefined) {
      run = new PgRun(task);
      PgRun.#ofTasks.set(task, run);
    }
    return run;
  }

  get effects(): Effects | undefined {
    return this.#task?.effects;
  }

  /** True if the run's function has returned or failed; the run's coroutines may continue. */
  get isOver(): boolean {
    return this.#state !== "running";
  }

  get hasFailed(): boolean {
    return this.#state === "failed";
  }

  /** Notes a connection that has to be told when the run is over. */
  uses(connection: Used): void {
    this.#used.add(connection);
  }

  /** Sets the cause that a failure would have from now on. */
  set cause(cause: FailureCause) {
    if (this.#task !== undefined) this.#task.cause = cause;
  }

  #end(task: Task, failure: ScriptFailure | undefined): ScriptFailure | undefined {
    const hasFailed = failure !== undefined;
    this.#state = hasFailed ? "failed" : "ended";
    // `some` would stop at the first one, but each connection has to be told.
    const left = [...this.#used].filter((connection) => connection.leave(this, hasFailed));
    this.#used.clear();
    if (left.length === 0) return undefined;
    return {
      message: concatBytes(
        task.description,
        bytesOfText(" ended inside a transaction: rolled back"),
      ),
    };
  }
}
