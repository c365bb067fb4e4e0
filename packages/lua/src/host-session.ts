/**
 * A session with the process of a script host: requests to it, its replies, and its end.
 *
 * The process is not trusted. If it sends anything but a message of the protocol, or a message
 * out of turn, it is killed, and nothing further is read from it. `ProtocolError` names the rule
 * that it broke.
 *
 * Invariants: every `run` is settled exactly once. While an answer is due, there is a timer;
 * soon after the last answer, there is none, so that an idle daemon sleeps. The data that waits to
 * be sent is bounded: a request for each run, its `begun` or `refused`, a `ping` and a `reload`. An
 * answer makes room for the next request, and carries the number of the request that it answers.
 * Numbers are random, so that a script host that does not read its requests cannot make room by
 * guessing numbers.
 */
import { randomInt } from "node:crypto";
import { EventEmitter } from "node:events";
import type { EncodedRecord } from "@cm4all/cgroup";
import { type ByteString, bytesOfText, errorText, latin1Of, textOf } from "@cm4all/linux";
import type { HostProcess } from "./host-process.ts";
import { Liveness } from "./liveness.ts";
import { MessageReader } from "./message-reader.ts";
import { parseReply } from "./parse-reply.ts";
import {
  cutText,
  encodeMessage,
  encodeRun,
  type HostSettings,
  MAX_REPLY_BYTES,
  type PlainRequest,
  ProtocolError,
  type Reply,
} from "./protocol.ts";
import type { Outcome, Run } from "./run.ts";
import type { Handlers } from "./run-kinds.ts";
import { TextBudget } from "./text-budget.ts";

export interface SessionOptions extends HostSettings {
  /** The size of the script host's heap, in MiB. */
  memoryMiB: number;
  /** The script host is killed if it sends nothing for this time while an answer is due. */
  answerTimeoutMs: number;
}

/** The state of the process. `unusable` means that loading the script has failed. */
export type Phase = "starting" | "ready" | "unusable";

/** A run in the process. */
interface RunningHandler {
  readonly run: Run;
  readonly settle: (outcome: Outcome) => void;
  /** The process has asked whether the run may have effects. */
  hasAsked: boolean;
  /** The process was told that the run may have effects. */
  hasBegun: boolean;
}

interface HostSessionEvents {
  /** The process has greeted, but it cannot be used; `ended` follows. */
  unfit: [reason: string];
  ready: [handlers: Handlers, warning: string | undefined];
  unusable: [message: string, traceback: string | undefined];
  /** A handler has ended. */
  worked: [];
  scriptError: [source: string, message: string, traceback: string | undefined];
  notice: [text: string];
  /** The output of the script cannot be written. Emitted once at most. */
  outputLost: [reason: string];
  /** Errors and notices were left out because there were too many. @param count how many */
  leftOut: [count: number];
  /** The process has ended, and all runs are settled. */
  ended: [reason: string];
}

/**
 * The time that the process is given to end once it is asked to. It is shorter than the time that
 * the daemon has for stopping (STOP_TIMEOUT_MS of its main thread), so that the outcome of the
 * runs can still be recorded.
 */
const STOP_MS = 700;

export class HostSession extends EventEmitter<HostSessionEvents> {
  readonly #process: HostProcess;
  readonly #settings: HostSettings;
  readonly #liveness: Liveness;
  readonly #reader = new MessageReader(MAX_REPLY_BYTES);
  readonly #texts = new TextBudget();
  readonly #gone: Promise<void>;
  #running = new Map<number, RunningHandler>();
  #phase: Phase = "starting";
  #hasGreeted = false;
  #bearsRepetition = false;
  /** The number of the last ping. */
  #pingNumber = 0;
  /** The kernel has not taken the last `reload` yet: another one would add nothing. */
  #isReloadUnsent = false;
  #hasLostOutput = false;
  #isStopping = false;
  #hasEnded = false;
  /** The reason why we killed the process. */
  #verdict: string | undefined;
  #onIdle: (() => void) | undefined;

  /**
   * Begins a session with a process; `ready`, `unusable`, `unfit` or `ended` follows.
   * @param process owned by the session
   */
  constructor(process: HostProcess, options: SessionOptions) {
    super();
    this.#process = process;
    const { script, instructions, handlerTimeoutMs } = options;
    this.#settings = { script, instructions, handlerTimeoutMs };
    this.#gone = new Promise((resolve) => this.once("ended", () => resolve()));
    process.once("ended", (how) => this.#ended(how));
    const { socket } = process;
    // Writing to a process that is ending fails; its end is reported by `ended`.
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    this.#liveness = new Liveness({
      timeoutMs: options.answerTimeoutMs,
      memoryMiB: options.memoryMiB,
      pid: () => this.pid,
      ping: () => {
        this.#pingNumber = randomNumber();
        this.#send({ type: "ping", number: this.#pingNumber });
      },
      isBusy: () => this.#running.size > 0 || this.#phase === "starting",
      condemn: (verdict) => this.kill(verdict),
    });
    this.#liveness.watch();
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** The place where the process runs, for the log. */
  get place(): string {
    return this.#process.place;
  }

  /** True if the process has greeted, even if it cannot be used. */
  get hasGreeted(): boolean {
    return this.#hasGreeted;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** The number of handlers that are running. */
  get running(): number {
    return this.#running.size;
  }

  /**
   * Runs a handler.
   * @throws ProtocolError if the records are too long for a message; half of them may still fit
   */
  run(records: readonly EncodedRecord[], run: Run): Promise<Outcome> {
    const number = randomNumber();
    const message = encodeRun(number, run.kind, records);
    return new Promise((settle) => {
      this.#running.set(number, { run, settle, hasAsked: false, hasBegun: false });
      this.#process.socket.write(message);
      this.#liveness.watch();
    });
  }

  /** Calls the script's `reload`. */
  reload(): void {
    if (!this.#isReloadUnsent) {
      this.#isReloadUnsent = true;
      this.#send({ type: "reload" }, () => {
        this.#isReloadUnsent = false;
      });
    }
    this.#liveness.watch();
  }

  /** Ends the process immediately. @param verdict the reason, for the log */
  kill(verdict: string): void {
    this.#verdict ??= verdict;
    this.#process.kill();
  }

  /**
   * Resolves when no handler is running, the process has ended, or the time is up. A second
   * call makes the first one resolve.
   */
  async idle(timeoutMs: number): Promise<void> {
    this.#onIdle?.();
    if (this.#running.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Ends the process and interrupts its handlers. Resolves when the process has ended. */
  async stop(): Promise<void> {
    if (this.#hasEnded) return;
    const deadline = setTimeout(
      () => this.kill(`it did not stop within ${STOP_MS / 1000} s`),
      STOP_MS,
    );
    this.#isStopping = true;
    this.#send({ type: "stop" });
    await this.#gone;
    clearTimeout(deadline);
  }

  #send(request: PlainRequest, onTaken?: () => void): void {
    this.#process.socket.write(encodeMessage(request), onTaken);
  }

  #receive(chunk: Buffer): void {
    try {
      for (const value of this.#reader.push(chunk)) {
        // Nothing more is read from a process that is being killed.
        if (this.#verdict !== undefined) return;
        const reply = parseReply(value);
        this.#liveness.heard();
        this.#handle(reply);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.kill(`it broke the protocol: ${error.message}`);
    }
  }

  #handle(reply: Reply): void {
    if (!this.#hasGreeted && reply.type !== "hello")
      throw new ProtocolError(`"${reply.type}" before a greeting`);
    switch (reply.type) {
      case "hello":
        this.#greet(reply.pid);
        break;
      case "pong":
        if (reply.number !== this.#pingNumber || !this.#liveness.answered())
          throw new ProtocolError("an answer to no ping");
        break;
      case "ready": {
        this.#enter("ready");
        const { handlers, warning } = reply;
        this.#bearsRepetition = handlers.bearsRepetition;
        this.emit("ready", handlers, warning === undefined ? undefined : textOf(warning));
        break;
      }
      case "unusable": {
        this.#enter("unusable");
        const { message, traceback } = readableFailure(reply);
        this.emit("unusable", message, traceback);
        break;
      }
      case "begin":
        void this.#begin(reply.number, this.#askingRun(reply.number));
        break;
      case "done":
        this.#settle(reply.number, { type: "done" });
        this.emit("worked");
        break;
      case "failed": {
        const { effect, cause } = reply;
        this.#settle(reply.number, { type: "failed", ...readableFailure(reply), effect, cause });
        this.emit("worked");
        break;
      }
      case "dropped":
        if (!this.#isStopping) throw new ProtocolError("a run dropped without a stop");
        this.#settle(reply.number, {
          type: "interrupted",
          message: "the script host ended: it was told to",
          effect: reply.effect,
        });
        break;
      case "error": {
        const { source, message, traceback } = reply;
        this.#say([source, message, traceback], () => {
          const { message, traceback } = readableFailure(reply);
          this.emit("scriptError", textOf(source), message, traceback);
        });
        break;
      }
      case "notice":
        this.#say([reply.text], () => this.emit("notice", textOf(reply.text)));
        break;
      case "outputLost":
        if (this.#hasLostOutput) throw new ProtocolError("lost output twice");
        this.#hasLostOutput = true;
        this.emit("outputLost", textOf(reply.text));
        break;
    }
  }

  /** Sends the script's settings, unless the process cannot be used. */
  #greet(pid: number): void {
    if (this.#hasGreeted) throw new ProtocolError("a greeting twice");
    const reason = this.#process.greet(pid);
    this.#hasGreeted = true;
    if (reason === undefined) this.#send({ type: "start", settings: this.#settings });
    else {
      this.emit("unfit", reason);
      this.kill(reason);
    }
  }

  #enter(phase: Phase): void {
    if (this.#phase !== "starting")
      throw new ProtocolError(`"${phase}" for a script that is already ${this.#phase}`);
    this.#phase = phase;
  }

  /** Returns the run that a reply is about. */
  #runOf(number: number): RunningHandler {
    const running = this.#running.get(number);
    if (running === undefined) throw new ProtocolError("a message about no run");
    return running;
  }

  /** Returns a run that asks before its first effect. */
  #askingRun(number: number): RunningHandler {
    const running = this.#runOf(number);
    if (running.hasAsked || this.#bearsRepetition)
      throw new ProtocolError("a question from a run that need not ask");
    running.hasAsked = true;
    return running;
  }

  /** Answers a run that has asked for permission. The process may end in the meantime. */
  async #begin(number: number, running: RunningHandler): Promise<void> {
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
    const { settle } = this.#runOf(number);
    this.#running.delete(number);
    settle(outcome);
    if (this.#running.size === 0) this.#onIdle?.();
  }

  /** Calls `tell` to pass on an error or a notice, unless there have been too many. */
  #say(texts: readonly (ByteString | undefined)[], tell: () => void): void {
    const nowMs = performance.now();
    const leftOut = this.#texts.takeLeftOut(nowMs);
    if (leftOut !== undefined) this.emit("leftOut", leftOut);
    const bytes = texts.reduce(
      (sum, text) => sum + (text === undefined ? 0 : latin1Of(text).length),
      0,
    );
    const verdict = this.#texts.take(bytes, nowMs);
    if (verdict === "flood") throw new ProtocolError("a flood of errors and notices");
    if (verdict === "passes") tell();
  }

  #ended(how: string): void {
    this.#hasEnded = true;
    this.#process.socket.destroy();
    this.#liveness.stop();
    const reason = this.#verdict ?? how;
    const interrupted = this.#running;
    this.#running = new Map();
    const message = `the script host ended: ${reason}`;
    // A run that has not been allowed to have effects has had none, or may be repeated anyway.
    for (const { hasBegun, settle } of interrupted.values())
      settle({ type: "interrupted", message, effect: hasBegun ? "unanswered" : "none" });
    this.#onIdle?.();
    const leftOut = this.#texts.takeAllLeftOut();
    if (leftOut > 0) this.emit("leftOut", leftOut);
    this.emit("ended", reason);
  }
}

/**
 * Returns a number for a run or a ping: random, so that it cannot be guessed, and from a range so
 * large that no number is expected to occur twice.
 */
function randomNumber(): number {
  return randomInt(1, 2 ** 48);
}

function readableFailure(reply: { message: ByteString; traceback?: ByteString }): {
  message: string;
  traceback?: string;
} {
  const message = textOf(reply.message);
  return reply.traceback === undefined
    ? { message }
    : { message, traceback: textOf(reply.traceback) };
}
