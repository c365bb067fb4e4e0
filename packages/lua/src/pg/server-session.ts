/**
 * One session with the server: sends statements, one at a time, keeps the account of their
 * effects, and cancels what is under way.
 */
import type { Client } from "pg";
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

/** How long a statement may take to end once it is cancelled. */
const CANCEL_MS = 5000;

export const LOST =
  "server closed the connection unexpectedly\n\tThis probably means the server terminated " +
  "abnormally\n\tbefore or while processing the request.\n";

/** A statement that was not sent, because there is no session any more. */
export function lostOutcome(): Failed {
  return { error: LOST, cause: "connection" };
}

export interface SessionEvents {
  /** Messages of the server that belong to no statement: NOTICE, an idle session's end. */
  onNotice(text: string): void;
  /** Something happened on a channel. */
  onNotification(channel: string, payload: string): void;
  /** The session is gone; what was under way is settled right after. */
  onEnd(session: ServerSession): void;
}

/** A setting that the server tells its clients, at first and when it changes. */
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
  /** Command tags for the statement that runs. */
  #tags: string[] = [];
  /** It sends rows in a way that nobody takes. */
  #isCopying = false;
  #isBroken = false;
  #hasBackslashes = false;
  /** Whether statements outside of a transaction may be executed in another session; if that is known. */
  isPooled: boolean | undefined;

  /** Watches a client that is not connected yet. */
  constructor(client: Client, events: SessionEvents) {
    this.#client = client;
    client.on("notice", (notice) => events.onNotice(formatServerMessage(notice, undefined)));
    client.on("notification", ({ channel, payload }) =>
      events.onNotification(channel, payload ?? ""),
    );
    client.on("error", (error) => {
      this.#isBroken = true;
      // With a statement on its way, the statement tells.
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

  /** Whether it is over. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Whether a statement can be sent now. */
  get isFree(): boolean {
    return this.#running === undefined && this.#cancelling === undefined && !this.#isBroken;
  }

  /** Whether a transaction is open, be it a failed one. */
  get inTransaction(): boolean {
    return this.#ledger.inTransaction;
  }

  /** Returns false if the statement, sent now, leaves nothing for good. */
  mayTakeEffect(sql: string): boolean {
    return this.#ledger.mayTakeEffect(sql);
  }

  /** Notes which process has answered: a pooler's sessions are not those of its keys. */
  noteProcess({ rows }: ResultSet): void {
    this.isPooled = rows[0]?.[0] !== String(rawClient(this.#client).processID);
  }

  get isCancelled(): boolean {
    return this.#cancelling !== undefined;
  }

  get hasBackslashes(): boolean {
    return this.#hasBackslashes;
  }

  /** From now on statements are executed with this schema, by one process of several. */
  useSchemaOfPool(schema: string): void {
    this.#schema = new PooledSchema(schema, this);
  }

  /** Sends a statement; nothing else may be under way. Never rejects. */
  async run(text: StatementText, effects: Effects | undefined): Promise<Outcome> {
    this.#running = this.#schema?.run(text, effects) ?? this.exchange(text, effects);
    const outcome = await this.#running;
    this.#running = undefined;
    // It may have ended between two texts.
    if (this.#isBroken) this.#ledger.lost();
    return outcome;
  }

  /** Sends a text as it is, as a part of what `run` does. */
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
    const hasFailed = "error" in reply;
    if (hasFailed && this.#isBroken) {
      this.#ledger.lost(sent, this.#tags.length === 0 && isTermination(reply.error));
      return;
    }
    const tags = this.#tags.map((tag) => tag.replace(/(?: \d+)+$/, ""));
    // Never null once a client is connected.
    const status = this.#client.getTransactionStatus() as TransactionStatus;
    this.#ledger.answered(sent, { tags, hasFailed, status });
  }

  /**
   * Cancels what is under way. Resolves when it has ended and no cancellation can hit what
   * is sent next; after 5 s the session is closed.
   */
  cancel(): Promise<void> {
    this.#cancelling ??= this.#cancel().finally(() => {
      this.#cancelling = undefined;
    });
    return this.#cancelling;
  }

  async #cancel(): Promise<void> {
    const { closed, abandon } = requestCancel(this.#client);
    const deadline = setTimeout(() => {
      abandon();
      this.destroy();
    }, CANCEL_MS);
    await Promise.all([this.#running, closed]);
    clearTimeout(deadline);
  }

  /** Ends the session; what is under way is lost. */
  end(): void {
    this.#isBroken = true;
    this.#client.end().catch(() => {});
  }

  /** Ends the session without another word to a server that may not listen. */
  destroy(): void {
    this.#isBroken = true;
    rawClient(this.#client).connection.stream.destroy();
  }
}

/**
 * The server ended the session instead of executing the statement. Other last words do not
 * say so: a pooler sends some of its own when it has lost the server.
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
