/// <reference path="./fengari.d.ts" />
/// <reference path="./pg/pg.d.ts" />
/**
 * The script host: the process that runs the script, as a child of the daemon or in a unit of its
 * own. It does what the daemon asks for on descriptor 3, and ends with the daemon.
 */
import { fstatSync, readFileSync, writeFileSync } from "node:fs";
import { unpackRecord } from "@cm4all/cgroup";
import { EX_OSERR, EX_USAGE } from "@cm4all/command";
import {
  bytesOfText,
  errorText,
  freeMemory,
  isErrno,
  QUIET_MS,
  setParentDeathSignal,
  setThreadName,
} from "@cm4all/linux";
import { Lull } from "@cm4all/supervision";
import { Beginnings } from "./beginnings.ts";
import { takeRefusal } from "./compat/memory.ts";
import { writeFully } from "./compat/output.ts";
import { confine } from "./confinement.ts";
import { restoreEnvironment } from "./environment.ts";
import { HostChannel } from "./host-channel.ts";
import { HOST_FD } from "./host-fd.ts";
import { openLibraries } from "./libs/index.ts";
import { cutText, type HostSettings, type Request } from "./protocol.ts";
import { Runtime, ScriptError, type ScriptFailure } from "./runtime/index.ts";

const SIGKILL = 9;
/**
 * After this many runs in a row without enough memory, the script host exits, so that a new one is
 * started.
 */
const STARVED_RUNS = 3;

class Host {
  readonly #channel = new HostChannel((request) => this.#handle(request));
  readonly #beginnings = new Beginnings(this.#channel);
  readonly #lull = new Lull(QUIET_MS, freeMemory);
  #runtime: Runtime | undefined;
  #isStopping = false;
  #hasLostOutput = false;
  /** The number of runs that have been started and whose outcome has not been sent. */
  #running = 0;
  /**
   * The number of runs in a row that lacked memory because the script itself holds too much of it.
   * A run that fails for another reason neither counts nor resets the count.
   */
  #starved = 0;
  /**
   * The runs that are still to be started. One is started in each turn of the event loop, so that
   * requests are answered in between.
   */
  #waiting: (Request & { type: "run" })[] = [];

  /** Sends the pid, before anything else; the daemon answers with `start`. */
  greet(): void {
    this.#channel.send({ type: "hello", pid: process.pid });
  }

  /** Makes the daemon log a message. */
  tell(text: string): void {
    this.#channel.send({ type: "notice", text: cutText(bytesOfText(text)) });
  }

  /**
   * Handles a request. Runs no Lua code but the main chunk, because a handler may be in the middle
   * of a call that blocks.
   */
  #handle(request: Request): void {
    switch (request.type) {
      case "start":
        this.#start(request.settings);
        break;
      case "run":
        this.#waiting.push(request);
        if (this.#waiting.length === 1) setImmediate(() => this.#runNext());
        break;
      case "begun":
        this.#beginnings.answered(request.number);
        break;
      case "refused":
        this.#beginnings.answered(request.number, request.message);
        break;
      case "reload":
        setImmediate(() => this.#runtime?.reload());
        break;
      case "ping":
        this.#channel.send({ type: "pong", number: request.number });
        break;
      case "stop":
        setImmediate(() => this.#stop());
        break;
    }
  }

  #start(settings: HostSettings): void {
    this.#lull.worked();
    const runtime = new Runtime({
      instructions: settings.instructions,
      handlerTimeoutMs: settings.handlerTimeoutMs,
      onError: (source, failure) =>
        this.#channel.send({ type: "error", source: cutText(source), ...cutFailure(failure) }),
      onNotice: (text) => this.#channel.send({ type: "notice", text: cutText(text) }),
      onOutputLost: (error) => this.#tellLostOutput(error),
      open: openLibraries,
    });
    try {
      const warning = runtime.load(settings.script);
      this.#runtime = runtime;
      const { handlers } = runtime;
      this.#channel.send({
        type: "ready",
        handlers,
        ...(warning === undefined ? {} : { warning: cutText(warning) }),
      });
    } catch (error) {
      if (!(error instanceof ScriptError)) throw error;
      runtime.close();
      this.#channel.send({ type: "unusable", ...cutFailure(error.failure) });
    }
  }

  /**
   * Reports lost output once: each further line is lost for the same reason. If nobody reads the
   * output, that is no failure.
   */
  #tellLostOutput(error: unknown): void {
    if (this.#hasLostOutput || isErrno(error, "EPIPE")) return;
    this.#hasLostOutput = true;
    this.#channel.send({ type: "outputLost", text: cutText(bytesOfText(errorText(error))) });
  }

  #runNext(): void {
    const request = this.#waiting.shift();
    if (request === undefined) return;
    if (this.#waiting.length > 0) setImmediate(() => this.#runNext());
    this.#running++;
    const { number, kind } = request;
    const records = request.records.map(unpackRecord);
    this.#runtime?.run(kind, records, this.#beginnings.of(number), (failure) => {
      this.#beginnings.ended(number, failure !== undefined);
      this.#running--;
      this.#lull.worked();
      if (failure === undefined) this.#channel.send({ type: "done", number });
      else {
        const { effect, cause } = failure;
        // A run that is dropped at the end has neither succeeded nor failed.
        if (this.#isStopping) this.#channel.send({ type: "dropped", number, effect });
        else this.#channel.send({ type: "failed", number, effect, cause, ...cutFailure(failure) });
      }
      this.#countStarved(failure === undefined);
      this.#endIfIdle();
    });
  }

  #countStarved(hasSucceeded: boolean): void {
    if (takeRefusal()) this.#starved++;
    else if (hasSucceeded) this.#starved = 0;
    if (this.#starved < STARVED_RUNS) return;
    writeFully(2, "the script holds so much memory that none is left for its handlers\n");
    this.#channel.end(() => process.exit(1));
  }

  /** Ends as soon as the effects of the dropped runs are known. */
  #stop(): void {
    this.#isStopping = true;
    this.#waiting = [];
    this.#runtime?.drop();
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    if (!this.#isStopping || this.#running > 0) return;
    this.#runtime?.close();
    this.#channel.end(() => process.exit(0));
  }
}

function cutFailure({ message, traceback }: ScriptFailure): ScriptFailure {
  return {
    message: cutText(message),
    ...(traceback === undefined ? {} : { traceback: cutText(traceback) }),
  };
}

/**
 * Runs the script host; the entry point of its process. Returns immediately; the process ends with
 * the daemon.
 */
export function runHost(): void {
  requireDaemon();
  const warning = prepareOrExit();
  // These signals are meant for the daemon, but a terminal or systemd sends them to us, too.
  for (const signal of ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP"] as const)
    process.on(signal, () => {});
  process.title = "cm4all-spawn script host";
  const host = new Host();
  host.greet();
  if (warning !== undefined) host.tell(warning);
}

/** Ends the process if it was started by hand, and not by the daemon or systemd. */
function requireDaemon(): void {
  try {
    if (fstatSync(HOST_FD).isSocket()) return;
  } catch (error) {
    if (!isErrno(error, "EBADF")) throw error;
  }
  writeFully(2, `the daemon starts this program, with a socket as descriptor ${HOST_FD}\n`);
  process.exit(EX_USAGE);
}

/**
 * Prepares the process for a script, and ends it if that fails.
 * @returns a message for the log if the kernel has no seccomp filters; otherwise undefined
 */
function prepareOrExit(): string | undefined {
  try {
    // While a script blocks, the process does not notice that the daemon has closed the socket, so
    // the kernel has to kill it when the daemon ends. In a unit of its own, the parent is systemd,
    // which stops the unit together with the daemon's.
    setParentDeathSignal(SIGKILL);
    setThreadName("script host");
    becomeKillable();
    restoreEnvironment();
    return confine();
  } catch (error) {
    writeFully(2, `cannot prepare the script's process: ${errorText(error)}\n`);
    process.exit(EX_OSERR);
  }
}

/**
 * Ends the exemption from the kernel's OOM killer that the daemon's unit gives the daemon, and
 * that children inherit: a script that takes all memory has to be killed before the daemon.
 * Raising oom_score_adj needs no privilege.
 * @see proc_pid_oom_score_adj(5)
 */
function becomeKillable(): void {
  const file = "/proc/self/oom_score_adj";
  if (Number(readFileSync(file, "latin1")) < 0) writeFileSync(file, "0");
}
