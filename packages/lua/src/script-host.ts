/**
 * The daemon's side of the script host: a child process that is started, asked,
 * watched and replaced.
 *
 * Invariants: every `run` is settled exactly once. While an answer is due there is a
 * timer; while none is due there is no timer, so that an idle daemon sleeps. There is
 * one process at a time; the supervisor starts the next one.
 */
import { EventEmitter } from "node:events";
import type { EncodedRecord } from "@cm4all/cgroup";
import { type ByteString, bytesOfText, errorText, textOf } from "@cm4all/linux";
import { type Pauses, type SupervisionState, Supervisor } from "@cm4all/supervision";
import { type HostProcess, type ProcessOptions, startHostProcess } from "./host-process.ts";
import { Liveness } from "./liveness.ts";
import {
  cutText,
  encodeMessage,
  encodeRun,
  type Handlers,
  type HostSettings,
  MessageReader,
  type PlainRequest,
  type Reply,
  type RunKind,
} from "./protocol.ts";
import type { Effect, FailureCause } from "./runtime/effects.ts";

export interface ScriptHostOptions extends ProcessOptions, HostSettings {
  /** A host that gives no sign of life for so long is replaced. */
  answerTimeoutMs: number;
  /** Handlers that may run, most of them waiting, at the same time. */
  maxRunning: number;
}

export interface Run {
  readonly kind: RunKind;
  /**
   * Called at most once, before the first effect of the run, which waits until it is
   * resolved: then it may be known that the run has begun. If it is rejected, the script
   * gets the reason as an error. Never called if the handlers bear repetition.
   */
  begin(): Promise<void>;
}

/** What became of a handler. */
export type Outcome =
  | { type: "done" }
  | {
      type: "failed";
      message: string;
      traceback?: string;
      /** What it had done outside by then. */
      effect: Effect;
      cause: FailureCause;
    }
  /** The host ended meanwhile, as far as it is known after how much. */
  | { type: "interrupted"; message: string; effect: Effect };

/** A run in the process. */
interface RunningHandler {
  readonly run: Run;
  readonly settle: (outcome: Outcome) => void;
  /** It was told that it may take effect. */
  hasBegun: boolean;
}

/** As long as nothing is known of a script. */
const UNKNOWN_HANDLERS: Handlers = { released: "one", running: "none", bearsRepetition: false };

/** What a process does. `unusable`: the script has a mistake, and the host waits for `reload`. */
type Phase = "starting" | "ready" | "unusable";

/** `pausing`: the process ended, another one follows. */
export type HostState = Exclude<SupervisionState, "running"> | Phase;

interface ScriptHostEvents {
  state: [state: HostState];
  /** The script is loaded. @param warning where it was probably meant otherwise */
  ready: [warning: string | undefined];
  /** The script cannot be used: nothing is accounted until `reload`. */
  unusable: [message: string, traceback: string | undefined];
  /** A failure that belongs to no handler: of `reload`, of a callback. */
  scriptError: [source: string, message: string, traceback: string | undefined];
  /** A message of the database server. */
  notice: [text: string];
  /** The process ended on its own, or had to be ended. */
  ended: [reason: string, restartInMs: number];
}

/** Between two processes, while no handler ends in any of them. */
const HOST_PAUSES: Pauses = [500, 1000, 2000, 5000, 10_000, 30_000, 60_000];

export class ScriptHost extends EventEmitter<ScriptHostEvents> {
  readonly options: Readonly<ScriptHostOptions>;
  readonly #liveness: Liveness;
  readonly #supervisor = new Supervisor({
    pauses: HOST_PAUSES,
    start: () => this.#startProcess(),
  });
  /** Of the process that runs. */
  #phase: Phase = "starting";
  #toldState: HostState = "stopped";
  #process: HostProcess | undefined;
  #running = new Map<number, RunningHandler>();
  #nextNumber = 1;
  /** Why we ended the process. */
  #verdict: string | undefined;
  #reloadWhenReady = false;
  #handlers = UNKNOWN_HANDLERS;
  /** The process ends because another one is wanted. */
  #startAgain = false;

  constructor(options: ScriptHostOptions) {
    super();
    this.options = options;
    this.#liveness = new Liveness({
      timeoutMs: options.answerTimeoutMs,
      memoryMiB: options.memoryMiB,
      pid: () => this.pid,
      ping: () => this.#send({ type: "ping" }),
      isBusy: () => this.#running.size > 0 || this.state === "starting",
      condemn: (verdict) => this.#endProcess(verdict),
    });
  }

  get state(): HostState {
    const { state } = this.#supervisor;
    return state === "running" ? this.#phase : state;
  }

  /** What the script that was loaded last has defined; one handler before that is known. */
  get handlers(): Handlers {
    return this.#handlers;
  }

  get pid(): number | undefined {
    return this.#process?.child.pid;
  }

  /** Handlers that run now. */
  get running(): number {
    return this.#running.size;
  }

  /** How many handlers can be started now. */
  get room(): number {
    return this.state === "ready" ? this.options.maxRunning - this.#running.size : 0;
  }

  /** Starts the process; `ready` or `unusable` follows. */
  start(): void {
    this.#supervisor.start();
  }

  #startProcess(): void {
    this.#verdict = undefined;
    this.#enter("starting");
    let started: HostProcess;
    try {
      started = startHostProcess(this.options);
    } catch (error) {
      this.#ended(errorText(error));
      return;
    }
    this.#process = started;
    const { child, socket } = started;
    child.once("error", (error) => this.#processEnded(started, error.message));
    child.once("exit", (code, signal) =>
      this.#processEnded(started, signal === null ? `exit status ${code}` : `killed by ${signal}`),
    );
    // Writing to a process that is ending: its end is reported by `exit`.
    socket.on("error", () => {});
    const reader = new MessageReader<Reply>();
    socket.on("data", (chunk: Buffer) => this.#receive(started, reader, chunk));
    const { script, instructions, handlerTimeoutMs } = this.options;
    this.#ask({ type: "start", settings: { script, instructions, handlerTimeoutMs } });
  }

  /**
   * Runs the handler for some cgroups: for one alone if it takes no list.
   * @throws Error where there is no room, or the handler does not take so many
   */
  run(records: readonly EncodedRecord[], run: Run): Promise<Outcome> {
    if (this.room <= 0) throw new Error("the script host has no room");
    if (records.length !== 1 && this.#handlers[run.kind] === "one")
      throw new Error(`the handler takes one cgroup, not ${records.length}`);
    const number = this.#nextNumber++;
    let message: Buffer;
    try {
      message = encodeRun(number, run.kind, records);
    } catch (error) {
      // It is the list that is too long; a half of it may be sent.
      const failure = { message: errorText(error), effect: "none", cause: "script" } as const;
      return Promise.resolve({ type: "failed", ...failure });
    }
    return new Promise((settle) => {
      this.#running.set(number, { run, settle, hasBegun: false });
      this.#process?.socket.write(message);
      this.#liveness.watch();
    });
  }

  /** Calls the script's `reload`; a script that could not be used is loaded again. */
  reload(): void {
    const { state } = this;
    if (state === "ready") this.#ask({ type: "reload" });
    else if (state === "starting") this.#reloadWhenReady = true;
    else if (state === "pausing") this.start();
    else if (state === "unusable") {
      this.#startAgain = true;
      this.#endProcess("its script is loaded again");
    }
  }

  /**
   * Lets running handlers end for up to `graceMs`, then ends the process. A second call
   * shortens that. Resolves when the process is gone.
   */
  async stop(graceMs: number): Promise<void> {
    this.#onIdle?.();
    const { child } = this.#process ?? {};
    if (child === undefined) {
      this.#stopSupervising();
      return;
    }
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    if (this.#running.size > 0) await this.#idle(graceMs);
    const deadline = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    // If it has ended by itself meanwhile, this ends the pause.
    this.#stopSupervising();
    this.#send({ type: "stop" });
    await gone;
    clearTimeout(deadline);
  }

  /** Resolves when no handler runs, the process is gone, or the time is over. */
  async #idle(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#onIdle = undefined;
  }
  #onIdle: (() => void) | undefined;

  #stopSupervising(): void {
    this.#supervisor.stop();
    this.#tellState();
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#tellState();
  }

  #tellState(): void {
    const { state } = this;
    if (this.#toldState === state) return;
    this.#toldState = state;
    this.emit("state", state);
  }

  #send(request: PlainRequest): void {
    this.#process?.socket.write(encodeMessage(request));
  }

  /** Sends something that an answer is due for. */
  #ask(request: PlainRequest): void {
    this.#send(request);
    this.#liveness.watch();
  }

  /** SIGKILL, because a process that hangs, or is stopped, hears nothing else. */
  #endProcess(verdict: string): void {
    this.#verdict = verdict;
    this.#process?.child.kill("SIGKILL");
  }

  #receive(from: HostProcess, reader: MessageReader<Reply>, chunk: Buffer): void {
    if (from !== this.#process) return;
    this.#liveness.heard();
    let replies: Reply[];
    try {
      replies = reader.push(chunk);
    } catch (error) {
      this.#endProcess(errorText(error));
      return;
    }
    for (const reply of replies) this.#handle(reply);
  }

  #handle(reply: Reply): void {
    switch (reply.type) {
      case "pong":
        this.#liveness.answered();
        break;
      case "ready":
        // It was told to stop while it started, and this answer crossed that.
        if (this.state !== "starting") break;
        this.#handlers = reply.handlers;
        this.#enter("ready");
        this.emit("ready", reply.warning === undefined ? undefined : textOf(reply.warning));
        if (this.#reloadWhenReady) this.reload();
        this.#reloadWhenReady = false;
        break;
      case "unusable": {
        if (this.state !== "starting") break;
        this.#enter("unusable");
        const { message, traceback } = readableFailure(reply);
        this.emit("unusable", message, traceback);
        break;
      }
      case "begin":
        void this.#begin(reply.number);
        break;
      case "done":
        this.#supervisor.worked();
        this.#settle(reply.number, { type: "done" });
        break;
      case "failed": {
        this.#supervisor.worked();
        const { effect, cause } = reply;
        this.#settle(reply.number, { type: "failed", ...readableFailure(reply), effect, cause });
        break;
      }
      case "dropped":
        this.#settle(reply.number, {
          type: "interrupted",
          message: "the script host ended: it was told to",
          effect: reply.effect,
        });
        break;
      case "error": {
        const { message, traceback } = readableFailure(reply);
        this.emit("scriptError", textOf(reply.source), message, traceback);
        break;
      }
      case "notice":
        this.emit("notice", textOf(reply.text));
        break;
    }
  }

  /** A run asks before its first effect. Its process may end meanwhile. */
  async #begin(number: number): Promise<void> {
    const running = this.#running.get(number);
    if (running === undefined) return;
    let refusal: string | undefined;
    try {
      await running.run.begin();
    } catch (error) {
      refusal = errorText(error);
    }
    if (this.#running.get(number) !== running) return;
    if (refusal === undefined) {
      running.hasBegun = true;
      this.#send({ type: "begun", number });
    } else this.#send({ type: "refused", number, message: cutText(bytesOfText(refusal)) });
  }

  #settle(number: number, outcome: Outcome): void {
    const running = this.#running.get(number);
    this.#running.delete(number);
    running?.settle(outcome);
    if (this.#running.size === 0) this.#onIdle?.();
  }

  #processEnded(which: HostProcess, how: string): void {
    if (which !== this.#process) return;
    this.#process = undefined;
    which.socket.destroy();
    this.#ended(this.#verdict ?? how);
  }

  #ended(reason: string): void {
    this.#liveness.stop();
    const interrupted = this.#running;
    this.#running = new Map();
    const pauseMs = this.#supervisor.ended();
    this.#tellState();
    const message = `the script host ended: ${reason}`;
    // One that was not allowed to begin has done nothing.
    for (const { hasBegun, settle } of interrupted.values())
      settle({ type: "interrupted", message, effect: hasBegun ? "unanswered" : "none" });
    this.#onIdle?.();
    if (pauseMs === undefined) return;
    if (this.#startAgain) {
      this.#startAgain = false;
      this.start();
      return;
    }
    this.emit("ended", reason, pauseMs);
  }
}

/** What the process may take to end once it is asked to. */
const STOP_MS = 1000;

function readableFailure(reply: { message: ByteString; traceback?: ByteString }): {
  message: string;
  traceback?: string;
} {
  const message = textOf(reply.message);
  return reply.traceback === undefined
    ? { message }
    : { message, traceback: textOf(reply.traceback) };
}
