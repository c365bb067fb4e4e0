/** A run of the script as connections know it: whose a statement is, and when that is over. */
import { bytesOfText, concatBytes } from "@cm4all/linux";
import type { Effects } from "../runtime/effects.ts";
import type { FailureCause, ScriptFailure, Task } from "../runtime/task.ts";

/** A connection that a run has used. */
interface Used {
  /**
   * The run is over. @param hasFailed its statements are not to go on
   * @returns true if it has left a transaction behind, which is rolled back
   */
  leave(run: PgRun, hasFailed: boolean): boolean;
}

export class PgRun {
  readonly #task: Task | undefined;
  readonly #used = new Set<Used>();
  #state: "running" | "ended" | "failed";

  private constructor(task: Task | undefined) {
    this.#task = task;
    // Code outside of tasks has no end that could be waited for.
    this.#state = task === undefined ? "ended" : "running";
    task?.atEnd((failure) => this.#end(task, failure));
  }

  static readonly #ofTasks = new WeakMap<Task, PgRun>();

  /**
   * Returns what a run of a handler has of databases.
   * @param task undefined while the script is loaded
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

  /** Whether its function has returned or failed; coroutines that it has made may go on. */
  get isOver(): boolean {
    return this.#state !== "running";
  }

  get hasFailed(): boolean {
    return this.#state === "failed";
  }

  /** To be told of the end. */
  uses(connection: Used): void {
    this.#used.add(connection);
  }

  /** What a failure from here on would be due to. */
  set cause(cause: FailureCause) {
    if (this.#task !== undefined) this.#task.cause = cause;
  }

  #end(task: Task, failure: ScriptFailure | undefined): ScriptFailure | undefined {
    const hasFailed = failure !== undefined;
    this.#state = hasFailed ? "failed" : "ended";
    // Each of them has to know.
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
