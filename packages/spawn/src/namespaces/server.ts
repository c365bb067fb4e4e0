/** Requests and their answers. */
import {
  type DecodedRequest,
  decodeRequest,
  encodeError,
  encodeResponse,
  ProtocolError,
  type Request,
} from "@cm4all/spawn-protocol";
import { LOG_WARNING } from "../log.ts";
import { LogOnce } from "../log-once.ts";
import { monotonicMs } from "../thread/event-loop.ts";
import type { Client, Connections } from "./connections.ts";
import type { Context } from "./context.ts";
import type { Connection, EngineHandler } from "./engine.ts";
import type { Undo } from "./entry.ts";
import { isSystemError, Refusal } from "./errors.ts";
import type { Registry } from "./registry.ts";
import { RequestStatistics } from "./statistics.ts";

export class Server implements EngineHandler {
  readonly #context: Context;
  readonly #registry: Registry;
  readonly #connections: Connections;
  /** Of its own, so that strangers cannot fill the other one. */
  readonly #refusals: LogOnce;
  readonly statistics = new RequestStatistics();

  constructor(context: Context, registry: Registry, connections: Connections) {
    this.#context = context;
    this.#registry = registry;
    this.#connections = connections;
    this.#refusals = new LogOnce(context.log);
  }

  accepted(connection: Connection): void {
    this.#connections.add(connection);
  }

  hungUp(connection: Connection): void {
    this.#connections.forget(connection);
  }

  mayReceive(connection: Connection): boolean {
    const client = this.#connections.get(connection);
    if (client === undefined) return false;
    const refusal = this.#connections.prove(client);
    if (refusal === undefined) return true;
    this.#logRefusal(client, refusal);
    this.#closeWithError(client, refusal);
    this.statistics.refused++;
    return false;
  }

  received(connection: Connection, bytes: Buffer, length: number): void {
    const client = this.#connections.get(connection);
    if (client === undefined) return;
    const startMs = monotonicMs();
    let decoded: DecodedRequest;
    try {
      decoded = decodeRequest(bytes, length);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.statistics.malformed++;
      if (error.isFraming) this.#closeWithError(client, error.message);
      else this.#sendError(client, error.message);
      return;
    }
    for (const command of decoded.unknownCommands)
      this.#context.logOnce.log(
        `command ${command}`,
        LOG_WARNING,
        `ignored unknown command ${command}`,
      );
    const { request } = decoded;
    if (request !== undefined && this.#answer(client, request))
      this.statistics.answered(request, monotonicMs() - startMs);
  }

  /** Answers with what was asked for, or with why not. Gives whether it was the former. */
  #answer(client: Client, request: Request): boolean {
    const undo: Undo[] = [];
    try {
      const entry = this.#registry.getOrCreate(request.name);
      // Also a name that was made for this request and gets nothing has to expire.
      this.#registry.touch(entry);
      const fds: number[] = [];
      if (request.ipc) fds.push(entry.ipcHandle(undo));
      if (request.pid) fds.push(entry.pidHandle(undo));
      if (request.user !== undefined) fds.push(entry.userHandle(request.user, undo));
      using lease = request.lease ? entry.lease() : undefined;
      if (lease !== undefined) {
        fds.push(lease.number);
        this.#registry.touch(entry);
      }
      const response = encodeResponse({
        ipc: request.ipc,
        pid: request.pid,
        user: request.user !== undefined,
        lease: request.lease,
      });
      if (!client.connection.send(response, fds)) this.#connections.close(client);
      return true;
    } catch (error) {
      for (const takeBack of undo.reverse()) takeBack();
      this.#registry.removeIfUseless(request.name);
      if (!(error instanceof Refusal || isSystemError(error))) throw error;
      this.statistics.failed++;
      this.#context.logOnce.log(`failure ${errorKey(error)}`, LOG_WARNING, error.message);
      this.#sendError(client, error.message);
      return false;
    }
  }

  #sendError(client: Client, message: string): void {
    if (!client.connection.send(encodeError(message), [])) this.#connections.close(client);
  }

  #closeWithError(client: Client, message: string): void {
    client.connection.send(encodeError(message), []);
    this.#connections.close(client);
  }

  #logRefusal({ peer }: Client, refusal: string): void {
    const { pid, uid } = peer.credentials;
    const text = `refused pid ${pid}, uid ${uid}: ${refusal}`;
    this.#refusals.log(`${pid} ${uid}`, LOG_WARNING, text);
  }
}

/** A failure that repeats for many names is logged once: its kind, not its arguments. */
function errorKey(error: Error): string {
  return "syscall" in error && "code" in error ? `${error.syscall} ${error.code}` : error.message;
}
