/** The main thread's side of the reaper: starts its thread, and tells and asks it things. */
import { WorkerThread } from "../thread/messages.ts";
import type { FromReaper, ReaperOptions, ReaperStatus, Release, ToReaper } from "./messages.ts";

export const REAPER_ROLE = "reaper";

/**
 * Memory for objects that die young. V8's choice lets the daemon grow by 25 MB when
 * 5,000 cgroups run empty at once, and is hardly faster.
 */
const YOUNG_GENERATION_MB = 4;

export class ReaperThread {
  readonly #thread: WorkerThread<ToReaper, FromReaper>;
  readonly #onReleased: (releases: readonly Release[]) => void;
  readonly #questions = new Map<number, (status: ReaperStatus | undefined) => void>();
  #nextId = 1;

  /**
   * @param onReleased gets each batch of releases; each is to be settled, if it has not vanished
   * @param onEnd the thread has ended: undefined where it was told to
   */
  constructor(
    options: ReaperOptions,
    onReleased: (releases: readonly Release[]) => void,
    onEnd: (error: unknown) => void,
  ) {
    this.#onReleased = onReleased;
    this.#thread = new WorkerThread<ToReaper, FromReaper>(
      REAPER_ROLE,
      options,
      (message) => this.#handle(message),
      (error) => {
        for (const answer of this.#questions.values()) answer(undefined);
        this.#questions.clear();
        onEnd(error);
      },
      { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    );
  }

  #handle(message: FromReaper): void {
    switch (message.kind) {
      case "released":
        this.#onReleased(message.releases);
        break;
      case "status":
        this.#questions.get(message.id)?.(message.status);
        this.#questions.delete(message.id);
        break;
    }
  }

  /** The handlers of these releases have returned, or they were given up. */
  settle(releases: readonly number[]): void {
    this.#thread.post({ kind: "settled", releases });
  }

  /** Whether from now on releases are told and kept until they are settled. */
  setAccounting(wanted: boolean): void {
    this.#thread.post({ kind: "accounting", wanted });
  }

  /** Undefined where the thread ends before it answers. */
  status(): Promise<ReaperStatus | undefined> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#questions.set(id, resolve);
      this.#thread.post({ kind: "status", id });
    });
  }

  /** Deletes what is settled and ends the thread. */
  stop(): void {
    this.#thread.post({ kind: "stop" });
  }
}
