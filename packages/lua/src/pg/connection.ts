/**
 * One session with the server for each `pg:new`, kept as libpq's users expect it:
 * statements of all coroutines in one queue, one on its way at a time, the session
 * opened when it is needed and again after it broke.
 *
 * Invariants: a statement is settled exactly once. While a transaction has the
 * session, only its statements are sent. There is one attempt to connect at a time.
 */
import { Backoff, type Pauses } from "@cm4all/supervision";
import type { Client } from "pg";
import { ConnectError, connect } from "./connect.ts";
import { ConninfoError } from "./conninfo.ts";
import { formatServerMessage, type ServerMessage } from "./message.ts";
import { type Outcome, runStatement, type StatementText } from "./statement.ts";
import { resolveTarget } from "./target.ts";
import { Transaction, type TransactionHooks } from "./transaction.ts";

export interface ConnectionOptions {
  /** Messages of the server that belong to no statement: NOTICE, an idle session's end. */
  onNotice(text: string): void;
  /** Something happened on a channel. */
  onNotification(channel: string, payload: string): void;
}

interface Statement {
  text: StatementText;
  settle(outcome: Outcome): void;
}

/** A transaction that waits for the session, or has it. */
interface Lease {
  grant(): void;
  fail(message: string): void;
}

type Entry = Statement | Lease;

/** The first attempt after a break follows at once, later ones after these pauses. */
const CONNECT_PAUSES: Pauses = [0, 1000, 2000, 5000, 10_000];

const LOST =
  "server closed the connection unexpectedly\n\tThis probably means the server terminated " +
  "abnormally\n\tbefore or while processing the request.\n";

export class PgConnection {
  readonly #conninfo: string;
  readonly #schema: string;
  readonly #options: ConnectionOptions;
  #queue: Entry[] = [];
  /** What to tell of notifications, in the order of registration. */
  readonly #channels = new Set<string>();

  #state: "idle" | "connecting" | "connected" | "pausing" | "closed" = "idle";
  #client: Client | undefined;
  #current: Statement | undefined;
  #lease: Lease | undefined;
  /** Counts sessions, so that a transaction notices that its own is gone. */
  #session = 0;
  readonly #backoff = new Backoff(CONNECT_PAUSES);
  #timer: NodeJS.Timeout | undefined;

  constructor(conninfo: string, schema: string, options: ConnectionOptions) {
    this.#conninfo = conninfo;
    this.#schema = schema;
    this.#options = options;
  }

  /** Queues a statement. @returns its outcome, and a function that takes it back while it waits */
  execute(text: StatementText): { outcome: Promise<Outcome>; abandon: () => void } {
    let entry: Statement | undefined;
    const outcome = new Promise<Outcome>((settle) => {
      entry = { text, settle };
      this.#queue.push(entry);
    });
    this.#pump();
    return { outcome, abandon: () => this.#remove(entry) };
  }

  /** Subscribes; for good, over all sessions. @returns false where it was subscribed already */
  listen(channel: string): boolean {
    if (this.#channels.has(channel)) return false;
    this.#channels.add(channel);
    if (this.#state === "connected") this.#queue.push(this.#listenStatement(channel));
    this.#pump();
    return true;
  }

  /** Waits for the session to be the caller's alone. */
  lease(): { granted: Promise<Transaction | { error: string }>; abandon: () => void } {
    let lease: Lease | undefined;
    const granted = new Promise<Transaction | { error: string }>((resolve) => {
      lease = {
        grant: () => resolve(new Transaction(this.#transactionHooks(lease))),
        fail: (error) => resolve({ error }),
      };
      this.#queue.push(lease);
    });
    this.#pump();
    return {
      granted,
      abandon: () => {
        this.#remove(lease);
        if (lease !== undefined) this.#endLease(lease);
      },
    };
  }

  /** Whether nothing is asked of it now. */
  get isIdle(): boolean {
    return this.#queue.length === 0 && this.#current === undefined && this.#lease === undefined;
  }

  /** Gives the session up while nothing needs it; the next statement opens another. */
  disconnectIfIdle(): void {
    if (!this.isIdle || this.#channels.size > 0) return;
    clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = undefined;
    if (this.#state !== "closed" && this.#state !== "connecting") this.#state = "idle";
    client?.end().catch(() => {});
  }

  /** For good. What waits is not settled any more. */
  close(): void {
    this.#queue = [];
    this.#channels.clear();
    this.#current = undefined;
    this.#lease = undefined;
    clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = undefined;
    this.#state = "closed";
    client?.end().catch(() => {});
  }

  #remove(entry: Entry | undefined): void {
    this.#queue = this.#queue.filter((waiting) => waiting !== entry);
  }

  /** Sends the next statement, if there is one, and a session that has nothing to do. */
  #pump(): void {
    if (this.#state === "idle" && (this.#queue.length > 0 || this.#channels.size > 0))
      this.#connect();
    if (this.#client === undefined || this.#state !== "connected") return;
    if (this.#current !== undefined || this.#lease !== undefined) return;
    const entry = this.#queue.shift();
    if (entry === undefined) return;
    if ("grant" in entry) {
      this.#lease = entry;
      entry.grant();
    } else {
      this.#run(this.#client, entry);
    }
  }

  #run(client: Client, statement: Statement): void {
    this.#current = statement;
    runStatement(client, statement.text, LOST).then((outcome) => {
      if (this.#current === statement) this.#current = undefined;
      statement.settle(outcome);
      this.#pump();
    });
  }

  #connect(): void {
    this.#state = "connecting";
    this.#openSession().then(
      (client) => {
        if (this.#state === "closed") {
          client.end().catch(() => {});
          return;
        }
        this.#backoff.reset();
        this.#client = client;
        this.#session++;
        this.#state = "connected";
        this.#pump();
      },
      (error: unknown) => this.#connectFailed(error),
    );
  }

  /** A session with its schema and its channels. */
  async #openSession(): Promise<Client> {
    const target = resolveTarget(this.#conninfo);
    const client = await connect(target, (fresh) => this.#watch(fresh));
    const prepare = async (sql: string, what: string) => {
      const outcome = await runStatement(client, { sql, parameters: undefined }, LOST);
      if ("error" in outcome) {
        client.end().catch(() => {});
        throw new ConnectError(`${what}; ${outcome.error}`);
      }
    };
    if (this.#schema !== "")
      await prepare(`SET SCHEMA '${this.#schema.replaceAll("'", "''")}'`, "Failed to set schema");
    for (const channel of this.#channels)
      await prepare(listenSql(channel), `Failed to listen on ${channel}`);
    return client;
  }

  #watch(client: Client): void {
    client.on("notice", (notice) => this.#options.onNotice(formatServerMessage(notice, undefined)));
    client.on("notification", ({ channel, payload }) =>
      this.#options.onNotification(channel, payload ?? ""),
    );
    client.on("error", (error) => {
      // With a statement on its way, the statement tells.
      if ("severity" in error && this.#current === undefined)
        this.#options.onNotice(formatServerMessage(error as ServerMessage, undefined));
    });
    client.on("end", () => this.#ended(client));
  }

  #ended(client: Client): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    // Its promise settles it; a reply cannot come any more.
    this.#current = undefined;
    if (this.#state === "connected") this.#state = "idle";
    this.#pump();
  }

  /** Only what waited longest fails; the others wait for the next attempt. */
  #connectFailed(error: unknown): void {
    if (this.#state === "closed") return;
    const expected = error instanceof ConnectError || error instanceof ConninfoError;
    const message = expected || error instanceof Error ? error.message : String(error);
    const oldest = this.#queue.shift();
    this.#state = "pausing";
    this.#timer = setTimeout(() => {
      this.#state = "idle";
      this.#pump();
    }, this.#backoff.failed());
    if (oldest === undefined) return;
    if ("grant" in oldest) oldest.fail(message);
    else oldest.settle({ error: message });
  }

  #listenStatement(channel: string): Statement {
    return {
      text: { sql: listenSql(channel), parameters: undefined },
      settle: (outcome) => {
        if ("error" in outcome) this.#options.onNotice(outcome.error);
      },
    };
  }

  #transactionHooks(lease: Lease | undefined): TransactionHooks {
    const session = this.#session;
    return {
      run: (text) => {
        const client = this.#client;
        if (client === undefined || this.#session !== session || this.#lease !== lease)
          return Promise.resolve({ error: LOST });
        return new Promise((settle) => this.#run(client, { text, settle }));
      },
      end: () => {
        if (lease !== undefined) this.#endLease(lease);
      },
    };
  }

  #endLease(lease: Lease): void {
    if (this.#lease !== lease) return;
    this.#lease = undefined;
    this.#pump();
  }
}

function listenSql(channel: string): string {
  return `LISTEN "${channel.replaceAll('"', '""')}"`;
}
