/** Answers requests. */
import type { Fd } from "@cm4all/linux";
import { encodeError, ProtocolError } from "@cm4all/spawn-protocol";
import { LOG_WARNING, type Logger } from "../../log/log.ts";
import { LogOnce } from "../../log/log-once.ts";
import { observe } from "../../metrics/histogram.ts";
import { monotonicMs } from "../../thread/event-loop.ts";
import type { Accepted, Connection, ConnectionOwner } from "../connections/connection.ts";
import { errorKey, isSystemError, Refusal } from "../errors.ts";
import type { NamespaceCounts } from "../metrics.ts";
import type { NamespaceSet, Undo } from "../names/namespace-set.ts";
import type { Registry } from "../names/registry.ts";
import type { Client, Clients } from "./clients.ts";
import { type KnownRequest, KnownRequests, type PreparedRequest } from "./known-requests.ts";

/** Answers the requests of clients. */
export class Responder {
  readonly #registry: Registry;
  readonly #clients: Clients;
  readonly #logOnce: LogOnce;
  /** A separate limiter for refusals, so that strangers cannot fill `#logOnce`. */
  readonly #refusals: LogOnce;
  readonly #counts: NamespaceCounts;
  readonly #known = new KnownRequests();
  /** The steps that undo what the present request has made. */
  readonly #undo: Undo[] = [];

  constructor(
    registry: Registry,
    clients: Clients,
    counts: NamespaceCounts,
    log: Logger,
    logOnce: LogOnce,
  ) {
    this.#registry = registry;
    this.#clients = clients;
    this.#counts = counts;
    this.#logOnce = logOnce;
    this.#refusals = new LogOnce(log);
  }

  /** Answers the requests of a new connection, unless it has to wait or has been closed. */
  serve(connection: Connection): Accepted {
    const client = this.#clients.tryAdd(connection);
    return typeof client === "string" ? client : this.#ownerOf(client);
  }

  /** Answers the requests of a client that has waited. */
  goOn(client: Client): void {
    client.connection.serve(this.#ownerOf(client), true);
  }

  #ownerOf(client: Client): ConnectionOwner {
    return {
      isStranger: client.isStranger,
      fellSilent: () => this.#clients.fellSilent(client),
      // The messages of a client that seems to have CAP_SYS_ADMIN, and so is no stranger, are not
      // inspected for descriptors: the client's rights are checked when it makes a request, and the
      // client is then either privileged or refused.
      //
      // This is not a getter, because V8 makes a long-lived hidden class for each object with one.
      isWary: () => client.isStranger || (client.state === "allowed" && !client.isPrivileged),
      mayReceive: () => this.#mayAsk(client),
      received: (bytes, length) => this.#received(client, bytes, length),
      refuseDescriptors: () => this.#closeWithError(client, "descriptors are not accepted"),
      hungUp: () => this.#clients.forget(client),
    };
  }

  /** Checks the rights of the client; closes the connection if they are insufficient. */
  #mayAsk(client: Client): boolean {
    const refusal = this.#clients.prove(client);
    if (refusal === undefined) return true;
    this.#logRefusal(client, refusal);
    this.#closeWithError(client, refusal);
    this.#counts.requests.refused++;
    return false;
  }

  #received(client: Client, bytes: Buffer, length: number): void {
    const startMs = monotonicMs();
    let known: KnownRequest;
    try {
      known = this.#known.decode(bytes, length);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#counts.requests.malformed++;
      if (error.isFraming) this.#closeWithError(client, error.message);
      else this.#sendError(client, error.message);
      return;
    }
    for (const command of known.unknownCommands)
      this.#logOnce.log(`command ${command}`, LOG_WARNING, `ignored unknown command ${command}`);
    const { prepared } = known;
    if (prepared === undefined || !this.#answer(client, prepared, startMs)) return;
    this.#countAnswer(prepared);
    observe(this.#counts.requestDurationSeconds, (monotonicMs() - startMs) / 1000);
  }

  #countAnswer({ namespaces, request }: PreparedRequest): void {
    const { requests, requested } = this.#counts;
    requests.answered++;
    for (const { kind } of namespaces) requested[kind]++;
    if (request.lease) requested.lease++;
  }

  /**
   * Answers with the namespaces, or with the error.
   * @param nowMs the time when the request arrived, in milliseconds of the monotonic clock
   * @returns false if the answer is an error
   */
  #answer(client: Client, prepared: PreparedRequest, nowMs: number): boolean {
    const { request, namespaces, response, fds } = prepared;
    let set: NamespaceSet | undefined;
    let lease: Fd | undefined;
    // The array is reused, so that a request whose namespaces exist need not allocate one.
    const undo = this.#undo;
    if (undo.length > 0) undo.length = 0;
    try {
      set = this.#registry.getOrCreate(request.name, client.peer.credentials.uid);
      let count = 0;
      for (const { kind, payload } of namespaces) fds[count++] = set.open(kind, payload, undo);
      if (request.lease) {
        lease = set.lease();
        fds[count] = lease.number;
      }
      this.#registry.touch(set, nowMs);
      if (!client.connection.send(response, fds)) this.#clients.close(client);
      return true;
    } catch (error) {
      for (const takeBack of undo.reverse()) takeBack();
      if (set !== undefined) this.#registry.touchUnlessUseless(set);
      if (!(error instanceof Refusal || isSystemError(error))) throw error;
      this.#counts.requests.failed++;
      this.#logOnce.log(`failure ${errorKey(error)}`, LOG_WARNING, error.message);
      this.#sendError(client, error.message);
      return false;
    } finally {
      lease?.close();
    }
  }

  #sendError(client: Client, message: string): void {
    if (!client.connection.send(encodeError(message), [])) this.#clients.close(client);
  }

  #closeWithError(client: Client, message: string): void {
    client.connection.send(encodeError(message), []);
    this.#clients.close(client);
  }

  #logRefusal({ peer }: Client, refusal: string): void {
    const { pid, uid } = peer.credentials;
    const text = `refused pid ${pid}, uid ${uid}: ${refusal}`;
    this.#refusals.log(`${pid} ${uid}`, LOG_WARNING, text);
  }
}
