/** Collects what is told to the main thread in a turn: each message costs more than its contents. */
import type { EncodedRecord } from "@cm4all/cgroup";
import type { ParentThread } from "../thread/parent-thread.ts";
import type { ReaperDialogue, Release } from "./messages.ts";

export type TellMain = Pick<ParentThread<ReaperDialogue>, "post">;

export class Outbox {
  readonly #main: TellMain;
  #interim: EncodedRecord[] = [];
  #released: Release[] = [];
  #withdrawn: number[] = [];
  #kept: number[] = [];
  #deleted: number[] = [];
  #populated: string[] | undefined;

  constructor(main: TellMain) {
    this.#main = main;
  }

  interim(record: EncodedRecord): void {
    this.#interim.push(record);
  }

  released(release: Release): void {
    this.#released.push(release);
  }

  withdrawn(release: number): void {
    this.#withdrawn.push(release);
  }

  kept(release: number): void {
    this.#kept.push(release);
  }

  deleted(release: number): void {
    this.#deleted.push(release);
  }

  scanned(populated: string[]): void {
    this.#populated = populated;
  }

  /** A release comes before all that is told of it, and what ran before it was released. */
  flush(): void {
    if (this.#interim.length > 0) this.#main.post("interim", this.#interim);
    if (this.#released.length > 0) this.#main.post("released", this.#released);
    if (this.#populated !== undefined) this.#main.post("scanned", this.#populated);
    if (this.#withdrawn.length > 0) this.#main.post("withdrawn", this.#withdrawn);
    if (this.#kept.length > 0) this.#main.post("kept", this.#kept);
    if (this.#deleted.length > 0) this.#main.post("deleted", this.#deleted);
    this.#interim = [];
    this.#released = [];
    this.#populated = undefined;
    this.#withdrawn = [];
    this.#kept = [];
    this.#deleted = [];
  }
}
