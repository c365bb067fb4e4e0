/** The main thread's side of the namespace service: starts its thread and asks it things. */
import { CommandFailure, EX_OSERR } from "@cm4all/command";
import type { Logger } from "../log.ts";
import { WorkerThread } from "../thread/messages.ts";
import type {
  FromNamespaces,
  NamespaceOptions,
  NamespaceStatus,
  ToNamespaces,
} from "./messages.ts";

export const NAMESPACES_ROLE = "namespaces";

/** What a purge did. */
export interface PurgeResult {
  readonly ended: number;
  readonly left: number;
}

export class NamespaceThread {
  readonly #thread: WorkerThread<ToNamespaces, FromNamespaces>;
  readonly #log: Logger;
  readonly #waiting = new Map<number, (message: FromNamespaces) => void>();
  #nextId = 1;
  #onStore: (store: { fd: number; isNew: boolean }) => void = () => undefined;
  #onServing: () => void = () => undefined;
  readonly #onChanged: (names: number) => void;
  #failure: CommandFailure | undefined;

  /** Settles when the thread has ended: rejects where it crashed, or could not start. */
  readonly ended: Promise<void>;
  /** The store, once it is open. */
  readonly store: Promise<{ fd: number; isNew: boolean }>;

  /** @param onChanged is told how many names there are */
  constructor(options: NamespaceOptions, log: Logger, onChanged: (names: number) => void) {
    this.#log = log;
    this.#onChanged = onChanged;
    this.store = new Promise((resolve) => {
      this.#onStore = resolve;
    });
    const { promise, resolve, reject } = withResolvers();
    this.ended = promise;
    this.#thread = new WorkerThread<ToNamespaces, FromNamespaces>(
      NAMESPACES_ROLE,
      options,
      (message) => this.#handle(message),
      (error = this.#failure) => (error === undefined ? resolve() : reject(error)),
    );
  }

  #handle(message: FromNamespaces): void {
    switch (message.kind) {
      case "log":
        this.#log(message.line.priority, message.line.text);
        break;
      case "store":
        this.#onStore(message);
        break;
      case "unusable":
        this.#failure = new CommandFailure(message.reason, EX_OSERR);
        break;
      case "serving":
        this.#onServing();
        break;
      case "changed":
        this.#onChanged(message.names);
        break;
      default:
        this.#waiting.get(message.id)?.(message);
        this.#waiting.delete(message.id);
    }
  }

  #ask(request: (id: number) => ToNamespaces): Promise<FromNamespaces> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#thread.post(request(id));
    });
  }

  /** Begins to answer clients. */
  serve(): Promise<void> {
    return new Promise((resolve) => {
      this.#onServing = resolve;
      this.#thread.post({ kind: "serve" });
    });
  }

  configure(policy: NamespaceOptions["policy"]): void {
    this.#thread.post({ kind: "configure", policy });
  }

  /** Resolves when the thread has come round its loop. */
  async ping(): Promise<void> {
    await this.#ask((id) => ({ kind: "ping", id }));
  }

  async status(): Promise<NamespaceStatus> {
    const answer = await this.#ask((id) => ({ kind: "status", id }));
    if (answer.kind !== "status") throw new Error(`unexpected answer: ${answer.kind}`);
    return answer.status;
  }

  /** Ends all names, or only those that are not leased and in which nothing runs. */
  async purge(onlyIdle: boolean): Promise<PurgeResult> {
    const answer = await this.#ask((id) => ({ kind: "purge", id, onlyIdle }));
    if (answer.kind !== "purged") throw new Error(`unexpected answer: ${answer.kind}`);
    return { ended: answer.ended, left: answer.left };
  }

  /**
   * Answers what has come and ends the thread.
   * @param isLast no other daemon takes over the namespaces: the idle ones are ended
   */
  stop(isLast: boolean): void {
    this.#thread.post({ kind: "stop", isLast });
  }
}

function withResolvers(): {
  promise: Promise<void>;
  resolve: () => void;
  reject: (error: unknown) => void;
} {
  let resolve: () => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
