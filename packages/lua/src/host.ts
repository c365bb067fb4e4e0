/// <reference path="./fengari.d.ts" />
/// <reference path="./pg/pg.d.ts" />
/**
 * The script host: the child process that runs the script. It does what the daemon
 * asks on descriptor 3, and ends with it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { setParentDeathSignal, setThreadName } from "@cm4all/linux";
import { HOST_FD } from "./host-fd.ts";
import { openLibraries } from "./libs/index.ts";
import {
  cutText,
  encodeMessage,
  type HostSettings,
  MessageReader,
  type Reply,
  type Request,
} from "./protocol.ts";
import { Runtime, ScriptError, type ScriptFailure } from "./runtime/index.ts";

const SIGKILL = 9;

class Host {
  readonly #socket: Socket;
  readonly #reader = new MessageReader<Request>();
  #runtime: Runtime | undefined;
  #isStopping = false;
  /** Handlers are started one a turn, so that a question is answered in between. */
  #waiting: (Request & { type: "run" })[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      for (const request of this.#reader.push(chunk)) this.#handle(request);
    });
    // The daemon is gone: there is nobody left to work for.
    socket.on("close", () => process.exit(0));
    socket.on("error", () => process.exit(0));
  }

  #send(reply: Reply): void {
    this.#socket.write(encodeMessage(reply));
  }

  #handle(request: Request): void {
    switch (request.type) {
      case "start":
        this.#start(request.settings);
        break;
      case "run":
        this.#waiting.push(request);
        if (this.#waiting.length === 1) setImmediate(() => this.#runNext());
        break;
      case "reload":
        this.#runtime?.reload();
        break;
      case "ping":
        this.#send({ type: "pong" });
        break;
      case "stop":
        this.#isStopping = true;
        this.#runtime?.close();
        this.#socket.end(() => process.exit(0));
        break;
    }
  }

  #start(settings: HostSettings): void {
    const runtime = new Runtime({
      cgroupRoot: settings.cgroupRoot,
      instructions: settings.instructions,
      handlerTimeoutMs: settings.handlerTimeoutMs,
      onError: (source, failure) => this.#send({ type: "error", source, ...cutFailure(failure) }),
      onNotice: (text) => this.#send({ type: "notice", text: cutText(text) }),
      open: openLibraries,
    });
    try {
      const warning = runtime.load(settings.script);
      this.#runtime = runtime;
      const { hasHandler } = runtime;
      this.#send({ type: "ready", hasHandler, ...(warning === undefined ? {} : { warning }) });
    } catch (error) {
      if (!(error instanceof ScriptError)) throw error;
      runtime.close();
      this.#send({ type: "unusable", ...cutFailure(error.failure) });
    }
  }

  #runNext(): void {
    const request = this.#waiting.shift();
    if (request === undefined) return;
    if (this.#waiting.length > 0) setImmediate(() => this.#runNext());
    const { number, snapshot } = request;
    this.#runtime?.run(snapshot, (failure) => {
      // What is dropped at the end has neither succeeded nor failed.
      if (this.#isStopping) return;
      if (failure === undefined) this.#send({ type: "done", number });
      else this.#send({ type: "failed", number, ...cutFailure(failure) });
    });
  }
}

function cutFailure({ message, traceback }: ScriptFailure): ScriptFailure {
  return {
    message: cutText(message),
    ...(traceback === undefined ? {} : { traceback: cutText(traceback) }),
  };
}

/** The entry of the child process. Returns at once; the process ends with the daemon. */
export function runHost(): void {
  // A script that blocks does not see the end of the socket.
  setParentDeathSignal(SIGKILL);
  setThreadName("script host");
  becomeKillable();
  // They are the daemon's, which a terminal or systemd sends to us as well.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
  process.title = "cm4all-spawn script host";
  new Host(new Socket({ fd: HOST_FD, readable: true, writable: true }));
}

/**
 * The daemon's unit exempts it from the kernel's OOM killer, and children inherit that;
 * a script that takes all memory has to go first. Raising the value needs no privilege.
 * @see proc_pid_oom_score_adj(5)
 */
function becomeKillable(): void {
  const file = "/proc/self/oom_score_adj";
  if (Number(readFileSync(file, "latin1")) < 0) writeFileSync(file, "0");
}
