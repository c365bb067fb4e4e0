/**
 * The daemon's side of the script host: starts a process, sends it requests, watches it, and
 * replaces it when it has ended.
 *
 * Invariants: there is at most one process at a time, with its `HostSession`; the supervisor starts
 * the next process.
 */
import { EventEmitter } from "node:events";
import type { EncodedRecord } from "@cm4all/cgroup";
import { errorText } from "@cm4all/linux";
import { type Pauses, type SupervisionState, Supervisor } from "@cm4all/supervision";
import { type ChildOptions, HostChild } from "./host-child.ts";
import type { HostProcess } from "./host-process.ts";
import { HostSession, type Phase, type SessionOptions } from "./host-session.ts";
import { HostUnit, type UnitOptions } from "./host-unit.ts";
import { ProtocolError } from "./protocol.ts";
import type { Outcome, Run } from "./run.ts";
import { type Handlers, NO_HANDLERS } from "./run-kinds.ts";

export interface ScriptHostOptions extends SessionOptions, ChildOptions {
  /** The unit in which systemd starts script hosts; without it, or if it fails, we spawn them. */
  unit?: UnitOptions;
  /** The number of handlers that may be running or waiting at the same time. */
  maxRunning: number;
}

/** The handlers that are assumed until a script has been loaded. */
const UNKNOWN_HANDLERS: Handlers = { ...NO_HANDLERS, released: "one" };

/**
 * `unusable`: the script has a mistake, and the script host waits for `reload`. `pausing`: the
 * process has ended, and another one follows.
 */
export type HostState = Exclude<SupervisionState, "running"> | Phase;

interface ScriptHostEvents {
  state: [state: HostState];
  /** A child is started, because no unit can be used. */
  child: [reason: string];
  /** The script is loaded. @param warning if it probably does not do what its author meant */
  ready: [warning: string | undefined];
  /** The script cannot be used: nothing is accounted until `reload`. */
  unusable: [message: string, traceback: string | undefined];
  /** A failure that belongs to no handler: of `reload`, of a callback, or of a coroutine. */
  scriptError: [source: string, message: string, traceback: string | undefined];
  /** A message of the database, or of the script host. */
  notice: [text: string];
  /** The output of the script cannot be written. Emitted at most once for each process. */
  outputLost: [reason: string];
  /** Errors and notices were left out because there were too many. @param count their number */
  leftOut: [count: number];
  /** The process has ended by itself, or was killed. */
  ended: [reason: string, restartInMs: number];
}

/** Pauses between processes, in ms; they begin anew when a handler has ended. */
const HOST_PAUSES: Pauses = [500, 1000, 2000, 5000, 10_000, 30_000, 60_000];

/** If this many units in a row send no greeting, systemd is suspected, not a busy machine. */
const MAX_SILENT_UNITS = 5;

export class ScriptHost extends EventEmitter<ScriptHostEvents> {
  readonly options: Readonly<ScriptHostOptions>;
  readonly #supervisor = new Supervisor({
    pauses: HOST_PAUSES,
    start: () => this.#startSession(),
  });
  #session: HostSession | undefined;
  #toldState: HostState = "stopped";
  #reloadWhenLoaded = false;
  #handlers = UNKNOWN_HANDLERS;
  /** True if the next process is to be started without a pause. */
  #startAgain = false;
  /** The reason why the next process will be a child; after that child, a unit is tried again. */
  #childReason: string | undefined;
  /** The number of units in a row that were killed before they sent a greeting. */
  #silentUnits = 0;

  constructor(options: ScriptHostOptions) {
    super();
    this.options = options;
  }

  get state(): HostState {
    const { state } = this.#supervisor;
    return state === "running" ? (this.#session?.phase ?? "starting") : state;
  }

  /**
   * The handlers of the script that was loaded last. Until a script has been loaded,
   * `cgroup_released` is assumed.
   */
  get handlers(): Handlers {
    return this.#handlers;
  }

  get pid(): number | undefined {
    return this.#session?.pid;
  }

  /** The place where the process runs, for the log. */
  get place(): string | undefined {
    return this.#session?.place;
  }

  /** The number of handlers that are running. */
  get running(): number {
    return this.#session?.running ?? 0;
  }

  /** The number of handlers that can be started now. */
  get room(): number {
    return this.state === "ready" ? this.options.maxRunning - this.running : 0;
  }

  /** Starts the process; `ready` or `unusable` follows. */
  start(): void {
    this.#supervisor.start();
  }

  #startSession(): void {
    let process: HostProcess;
    try {
      process = this.#startProcess();
    } catch (error) {
      this.#ended(errorText(error));
      return;
    }
    const session = new HostSession(process, this.options);
    this.#session = session;
    session.on("unfit", (reason) => this.#becomeChild(reason));
    session.on("ready", (handlers, warning) => this.#ready(handlers, warning));
    session.on("unusable", (message, traceback) => {
      // The script host was told to stop while it started, and this answer crossed that request.
      if (this.#supervisor.state !== "running") return;
      if (this.#catchUp()) return;
      this.#tellState();
      this.emit("unusable", message, traceback);
    });
    session.on("worked", () => this.#supervisor.worked());
    session.on("scriptError", (...failure) => this.emit("scriptError", ...failure));
    session.on("notice", (text) => this.emit("notice", text));
    session.on("outputLost", (reason) => this.emit("outputLost", reason));
    session.on("leftOut", (count) => this.emit("leftOut", count));
    session.on("ended", (reason) => {
      if (process instanceof HostUnit) this.#unitEnded(process, session.hasGreeted, reason);
      this.#ended(reason);
    });
    this.#tellState();
  }

  #startProcess(): HostProcess {
    const { unit, memoryMiB } = this.options;
    if (unit === undefined) return new HostChild(this.options);
    const reason = this.#childReason;
    this.#childReason = undefined;
    try {
      if (reason === undefined) return new HostUnit(unit, memoryMiB);
      this.emit("child", reason);
    } catch (error) {
      this.emit("child", errorText(error));
    }
    return new HostChild(this.options);
  }

  #unitEnded(unit: HostUnit, hasGreeted: boolean, reason: string): void {
    this.#silentUnits = hasGreeted || !unit.isKilled ? 0 : this.#silentUnits + 1;
    if (hasGreeted) return;
    // A unit that was silent for too long is tried again: on a busy machine, a child is no faster.
    if (!unit.isKilled) this.#becomeChild(reason);
    else if (this.#silentUnits >= MAX_SILENT_UNITS)
      this.#becomeChild(
        `${this.#silentUnits} units in a row have sent no greeting; the last: ${reason}`,
      );
  }

  #becomeChild(reason: string): void {
    this.#childReason = reason;
    this.#startAgain = true;
  }

  #ready(handlers: Handlers, warning: string | undefined): void {
    // As with `unusable`: the script host was told to stop in the meantime.
    if (this.#supervisor.state !== "running") return;
    this.#handlers = handlers;
    this.#tellState();
    this.emit("ready", warning);
    this.#catchUp();
  }

  /** Reloads if that was asked for while the script was being loaded. @returns false if not */
  #catchUp(): boolean {
    const isAsked = this.#reloadWhenLoaded;
    this.#reloadWhenLoaded = false;
    if (isAsked) this.reload();
    return isAsked;
  }

  /**
   * Runs the handler for some cgroups: for a single cgroup if the handler takes no list.
   * @throws Error if there is no room, or if the handler does not take that many
   */
  run(records: readonly EncodedRecord[], run: Run): Promise<Outcome> {
    const session = this.#session;
    if (session === undefined || this.room <= 0) throw new Error("the script host has no room");
    if (records.length !== 1 && this.#handlers[run.kind] === "one")
      throw new Error(`the handler takes one cgroup, not ${records.length}`);
    try {
      return session.run(records, run);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      const failure = { message: error.message, effect: "none", cause: "script" } as const;
      return Promise.resolve({ type: "failed", ...failure });
    }
  }

  /** Calls the script's `reload`; a script that could not be used is loaded again. */
  reload(): void {
    const { state } = this;
    if (state === "ready") this.#session?.reload();
    else if (state === "starting") this.#reloadWhenLoaded = true;
    else if (state === "pausing") this.start();
    else if (state === "unusable") {
      this.#startAgain = true;
      this.#session?.kill("its script is loaded again");
    }
  }

  /**
   * Waits up to `graceMs` for running handlers, then ends the process. A second call ends the
   * wait of the first. Resolves when the process has ended.
   */
  async stop(graceMs: number): Promise<void> {
    const session = this.#session;
    await session?.idle(graceMs);
    // If the process has ended by itself in the meantime, this ends the pause.
    this.#supervisor.stop();
    this.#tellState();
    await session?.stop();
  }

  #tellState(): void {
    const { state } = this;
    if (this.#toldState === state) return;
    this.#toldState = state;
    this.emit("state", state);
  }

  #ended(reason: string): void {
    this.#session = undefined;
    const pauseMs = this.#supervisor.ended();
    this.#tellState();
    if (pauseMs === undefined) return;
    if (this.#startAgain) {
      this.#startAgain = false;
      this.start();
      return;
    }
    this.emit("ended", reason, pauseMs);
  }
}
