/**
 * A session with the server: sends statements, one at a time, keeps track of their effects,
 * and cancels the statement that is being executed.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { OutOfMemory } from "../compat/memory.ts";
import type { Effects } from "../runtime/effects.ts";
import { rawClient, requestCancel } from "./cancel.ts";
import { Ledger, type Sent, type TransactionStatus } from "./ledger.ts";
import { formatServerMessage, type ServerMessage } from "./message.ts";
import { PooledSchema, type PooledSession } from "./pooled-schema.ts";
import {
  describeError,
  type Failed,
  type Outcome,
  type Reply,
  type ResultSet,
  runStatement,
  type StatementText,
} from "./statement.ts";

/** The time that a statement is given to end once it is cancelled. */
const CANCEL_MS = 5000;

/** The pause after the first request to cancel a statement; each further pause is twice as long. */
const FIRST_CANCEL_PAUSE_MS = 200;

export const LOST =
  "server closed the connection unexpectedly\n\tThis probably means the server terminated " +
  "abnormally\n\tbefore or while processing the request.\n";

/** Returns the outcome of a statement that was not sent because the session was lost. */
export function lostOutcome(): Failed {
  return { error: LOST, cause: "connection" };
}

export interface SessionEvents {
  /**
   * Called with messages of the server that belong to no statement: notices, the end of an idle
   * session.
   */
  onNotice(text: string): void;
  /** Called for a notification. */
  onNotification(channel: string, payload: string): void;
  /**
   * Called when the session has ended; the statement that was being executed is settled right after
   * that.
   */
  onEnd(session: ServerSession): void;
}

/** A setting that the server reports to its clients, initially and when it changes. */
interface ParameterStatus {
  parameterName: string;
  parameterValue: string;
}

export class ServerSession implements PooledSession {
  readonly #client: Client;
  readonly #ledger = new Ledger();
  #running: Promise<Outcome> | undefined;
  #schema: PooledSchema | undefined;
  #cancelling: Promise<void> | undefined;
  /** The command tags of the statement that is being executed. */
  #tags: string[] = [];
  /** True if the statement is a COPY to the client, which is not supported. */
  #isCopying = false;
  #isBroken = false;
  #hasBackslashes = false;
  /**
   * True if statements outside a transaction may be executed in different sessions; undefined if
   * that is not known.
   */
  isPooled: boolean | undefined;

  /** Sets the handlers of a client that is not connected yet. */
  constructor(client: Client, events: SessionEvents) {
    this.#client = client;
    client.on("notice", (notice) => events.onNotice(formatServerMessage(notice, undefined)));
    client.on("notification", ({ channel, payload }) =>
      events.onNotification(channel, payload ?? ""),
    );
    client.on("error", (error) => {
      this.#isBroken = true;
      // If a statement is being executed, its outcome contains the error.
      if ("severity" in error && this.#running === undefined)
        events.onNotice(formatServerMessage(error as ServerMessage, undefined));
    });
    client.on("end", () => {
      this.#isBroken = true;
      if (this.#running === undefined) this.#ledger.lost();
      events.onEnd(this);
    });
    const { connection } = rawClient(client);
    connection.on("commandComplete", ({ text }: { text: string }) => this.#tags.push(text));
    connection.on("parameterStatus", ({ parameterName, parameterValue }: ParameterStatus) => {
      if (parameterName === "standard_conforming_strings")
        this.#hasBackslashes = parameterValue === "off";
    });
    connection.on("copyOutResponse", () => {
      this.#isCopying = true;
    });
  }

  /** True if the session has ended. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** True if a statement can be sent now. */
  get isFree(): boolean {
    return this.#running === undefined && this.#cancelling === undefined && !this.#isBroken;
  }

  /** True if a transaction is open, including a failed one. */
  get inTransaction(): boolean {
    return this.#ledger.inTransaction;
  }

  /** Returns false if the statement would have no lasting effect if it were sent now. */
  mayTakeEffect(sql: string): boolean {
    return this.#ledger.mayTakeEffect(sql);
  }

  /**
   * Notes the process that has answered. Behind a pooler, it is not the process that the
   * cancellation key names.
   */
  noteProcess({ rows }: ResultSet): void {
    this.isPooled = rows[0]?.[0] !== String(rawClient(this.#client).processID);
  }

  get isCancelled(): boolean {
    return this.#cancelling !== undefined;
  }

  get hasBackslashes(): boolean {
    return this.#hasBackslashes;
  }

  /** Makes further statements use this schema, whichever process of a pool executes them. */
  useSchemaOfPool(schema: string): void {
    this.#schema = new PooledSchema(schema, this);
  }

  /** Sends a statement; no other one may be under way. Never rejects. */
  async run(text: StatementText, effects: Effects | undefined): Promise<Outcome> {
    this.#running = this.#schema?.run(text, effects) ?? this.exchange(text, effects);
    const outcome = await this.#running;
    this.#running = undefined;
    // The session may have ended between two query strings.
    if (this.#isBroken) this.#ledger.lost();
    return outcome;
  }

  /** Sends a query string as it is, as a part of `run`. */
  async exchange(text: StatementText, effects: Effects | undefined): Promise<Outcome> {
    if (this.#isBroken) return lostOutcome();
    this.#tags = [];
    this.#isCopying = false;
    const sent: Sent = { sql: text.sql, settle: effects?.sent() };
    const reply = await runStatement(this.#client, text);
    this.#account(sent, reply);
    if ("error" in reply)
      return {
        error: describeError(reply.error, text.sql, LOST),
        cause: this.#isBroken ? "connection" : "script",
      };
    return this.#isCopying
      ? { error: "COPY to the client is not supported\n", cause: "script" }
      : reply;
  }

  #account(sent: Sent, reply: Reply): void {
    const isError = "error" in reply;
    if (isError && this.#isBroken) {
      this.#ledger.lost(sent, this.#tags.length === 0 && isTermination(reply.error));
      return;
    }
    // If only the result was too large for us, the server has executed the statement.
    const hasFailed = isError && !(reply.error instanceof OutOfMemory);
    const tags = this.#tags.map((tag) => tag.replace(/(?: \d+)+$/, ""));
    // Never null once a client is connected.
    const status = this.#client.getTransactionStatus() as TransactionStatus;
    this.#ledger.answered(sent, { tags, hasFailed, status });
  }

  /**
   * Cancels the statement that is under way. Resolves once it has ended and the cancellation can no
   * longer affect the next statement. If this has not happened within 5 s, the session is closed.
   * The request is repeated, because the server ignores it if it comes before the server has read
   * the statement.
   */
  cancel(): Promise<void> {
    this.#cancelling ??= this.#cancel().finally(() => {
      this.#cancelling = undefined;
    });
    return this.#cancelling;
  }

  async #cancel(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    const over = new AbortController();
    const ended = running.finally(() => over.abort());
    let abandon = () => {};
    const deadline = setTimeout(() => {
      over.abort();
      abandon();
      this.destroy();
    }, CANCEL_MS);
    for (let pauseMs = FIRST_CANCEL_PAUSE_MS; !over.signal.aborted; pauseMs *= 2) {
      const request = requestCancel(this.#client);
      abandon = request.abandon;
      await request.closed;
      await sleep(pauseMs, undefined, { signal: over.signal }).catch(() => {});
    }
    await ended;
    clearTimeout(deadline);
  }

  /** Ends the session; the statement that is under way is lost. */
  end(): void {
    this.#isBroken = true;
    this.#client.end().catch(() => {});
  }

  /**
   * Closes the session without a message to the server, which might not read it.
   * @param error the outcome of the statement that is under way
   */
  destroy(error?: Error): void {
    this.#isBroken = true;
    rawClient(this.#client).connection.stream.destroy(error);
  }
}

/**
 * Returns true if the server has ended the session instead of executing the statement. No other
 * message at the end of a session means that: a pooler sends messages of its own when it has lost
 * the server.
 * @see PostgreSQL manual, "PostgreSQL Error Codes": admin_shutdown, idle_session_timeout,
 * idle_in_transaction_session_timeout, transaction_timeout
 */
function isTermination(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    ["57P01", "57P05", "25P03", "25P04"].includes(String(error.code))
  );
}
