/**
 * The daemon's side of the script host: a child process that is started, asked,
 * watched and replaced.
 *
 * Invariants: every `run` is settled exactly once. While an answer is due there is a
 * timer; while none is due there is no timer, so that an idle daemon sleeps. There is
 * one process at a time; the supervisor starts the next one.
 */
import { EventEmitter } from "node:events";
import type { CgroupSnapshot } from "@cm4all/cgroup";
import { type ByteString, errorText, textOf } from "@cm4all/linux";
import { type Pauses, type SupervisionState, Supervisor } from "@cm4all/supervision";
import { type HostProcess, type ProcessOptions, startHostProcess } from "./host-process.ts";
import { Liveness } from "./liveness.ts";
import {
  encodeMessage,
  type HostSettings,
  MessageReader,
  type Reply,
  type Request,
} from "./protocol.ts";

export interface ScriptHostOptions extends ProcessOptions, HostSettings {
  /** A host that gives no sign of life for so long is replaced. */
  answerTimeoutMs: number;
  /** Handlers that may run, most of them waiting, at the same time. */
  maxRunning: number;
}

/** What became of a handler. */
export type Outcome =
  | { type: "done" }
  | { type: "failed"; message: string; traceback?: string }
  /** The host ended meanwhile; whether the handler did its work is not known. */
  | { type: "interrupted"; message: string };

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
  #running = new Map<number, (outcome: Outcome) => void>();
  #nextNumber = 1;
  /** Why we ended the process. */
  #verdict: string | undefined;
  #reloadWhenReady = false;
  #hasHandler = true;
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

  /** Whether the script that is loaded has a handler: false where cgroups are not to be told. */
  get hasHandler(): boolean {
    return this.#hasHandler;
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
    socket.setEncoding("utf8").on("data", (chunk: string) => this.#receive(started, reader, chunk));
    const { script, cgroupRoot, instructions, handlerTimeoutMs } = this.options;
    this.#ask({ type: "start", settings: { script, cgroupRoot, instructions, handlerTimeoutMs } });
  }

  /**
   * Runs the handler for one cgroup.
   * @throws Error where there is no room
   */
  run(snapshot: CgroupSnapshot): Promise<Outcome> {
    if (this.room <= 0) throw new Error("the script host has no room");
    const number = this.#nextNumber++;
    return new Promise((settle) => {
      this.#running.set(number, settle);
      this.#ask({ type: "run", number, snapshot });
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

  #send(request: Request): void {
    this.#process?.socket.write(encodeMessage(request));
  }

  /** Sends something that an answer is due for. */
  #ask(request: Request): void {
    this.#send(request);
    this.#liveness.watch();
  }

  /** SIGKILL, because a process that hangs, or is stopped, hears nothing else. */
  #endProcess(verdict: string): void {
    this.#verdict = verdict;
    this.#process?.child.kill("SIGKILL");
  }

  #receive(from: HostProcess, reader: MessageReader<Reply>, chunk: string): void {
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
        this.#hasHandler = reply.hasHandler;
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
      case "done":
        this.#supervisor.worked();
        this.#settle(reply.number, { type: "done" });
        break;
      case "failed":
        this.#supervisor.worked();
        this.#settle(reply.number, { type: "failed", ...readableFailure(reply) });
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

  #settle(number: number, outcome: Outcome): void {
    const settle = this.#running.get(number);
    this.#running.delete(number);
    settle?.(outcome);
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
    for (const settle of interrupted.values())
      settle({ type: "interrupted", message: `the script host ended: ${reason}` });
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
