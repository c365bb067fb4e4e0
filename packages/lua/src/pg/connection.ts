/**
 * A session with the server for each `pg:new`, as users of libpq expect it: the statements of
 * all coroutines go through one queue, one at a time; the session is opened when it is needed,
 * and again after it has broken.
 *
 * Invariants: a statement is settled exactly once, unless it is withdrawn or `close` comes first.
 * While a transaction is open, whether it was begun by `db:transaction` or by hand (with BEGIN),
 * only statements of the run that has begun it are sent; it ends with the run at the latest. There
 * is at most one attempt to connect at a time.
 */
import { errorText } from "@cm4all/linux";
import { Backoff, type Pauses } from "@cm4all/supervision";
import { ConnectError } from "./connect.ts";
import { listenTo, notListening, openSession, WHICH_PROCESS } from "./open-session.ts";
import { ConninfoError } from "./options.ts";
import { type Entry, type Lease, Queue, type Statement } from "./queue.ts";
import type { PgRun } from "./run.ts";
import { LOST, lostOutcome, type ServerSession, type SessionEvents } from "./server-session.ts";
import {
  type Failed,
  type Outcome,
  plainText,
  type ResultSet,
  type StatementText,
} from "./statement.ts";
import { Transaction, type TransactionHooks } from "./transaction.ts";

export type ConnectionOptions = Omit<SessionEvents, "onEnd">;

/** Pauses after failed attempts to connect, in ms; after the first failure, there is none. */
const CONNECT_PAUSES: Pauses = [0, 1000, 2000, 5000, 10_000];

const HANDLER_FAILED = "its handler has ended\n";

export class PgConnection {
  readonly #conninfo: string;
  readonly #schema: string;
  readonly #options: ConnectionOptions;
  readonly #queue = new Queue();
  /** The channels, in the order in which they were subscribed to. */
  readonly #channels = new Set<string>();

  #state: "idle" | "connecting" | "connected" | "pausing" | "closed" = "idle";
  #session: ServerSession | undefined;
  #current: Statement | undefined;
  /** The `db:transaction` that has the session. */
  #lease: Lease | undefined;
  /** The run that has begun a transaction by hand, while the transaction is open. */
  #owner: PgRun | undefined;
  /**
   * Runs that had begun a transaction by hand, which was lost with its session: their further
   * statements belong to the lost transaction, and are refused.
   */
  readonly #bereft = new WeakSet<PgRun>();
  readonly #backoff = new Backoff(CONNECT_PAUSES);
  #timer: NodeJS.Timeout | undefined;

  constructor(conninfo: string, schema: string, options: ConnectionOptions) {
    this.#conninfo = conninfo;
    this.#schema = schema;
    this.#options = options;
  }

  /** Queues a statement. @returns its outcome, and a function that withdraws a waiting statement */
  execute(run: PgRun, text: StatementText): { outcome: Promise<Outcome>; abandon: () => void } {
    let entry: Statement | undefined;
    const outcome = new Promise<Outcome>((settle) => {
      entry = { run, text, settle };
      this.#enqueue(entry);
    });
    return { outcome, abandon: () => this.#withdraw(entry) };
  }

  /**
   * Subscribes to a channel, for this session and all later ones.
   * @returns false if the channel was subscribed to before
   */
  listen(channel: string): boolean {
    if (this.#channels.has(channel)) return false;
    this.#channels.add(channel);
    if (this.#session !== undefined) this.#listenIn(this.#session, channel);
    this.#pump();
    return true;
  }

  /** Waits for the exclusive use of the session. */
  lease(run: PgRun): {
    granted: Promise<Transaction | Failed>;
    abandon: () => void;
  } {
    let lease: Lease | undefined;
    const granted = new Promise<Transaction | Failed>((settle) => {
      const made: Lease = {
        run,
        grant: (session) => settle(new Transaction(this.#transactionHooks(made, session))),
        settle,
      };
      lease = made;
      this.#enqueue(made);
    });
    return {
      granted,
      abandon: () => {
        this.#withdraw(lease);
        this.#endLease(lease);
      },
    };
  }

  /** Notes that a run is over. @returns true if it has left a transaction open. @see PgRun */
  leave(run: PgRun, hasFailed: boolean): boolean {
    const hasLeftOpen = this.#owner === run;
    if (hasFailed && this.#current?.run === run) this.#session?.cancel().then(() => this.#pump());
    this.#pump();
    return hasLeftOpen;
  }

  /**
   * Ends the session if nothing needs it; the next statement opens another one.
   * @returns false if the session is needed now, but may become idle later
   */
  disconnectIfIdle(): boolean {
    if (this.#channels.size > 0 || this.#state === "closed") return true;
    const isIdle = this.#queue.isEmpty && (this.#session?.isFree ?? true);
    const isTaken = this.#lease !== undefined || this.#owner !== undefined;
    if (!isIdle || isTaken || this.#state === "connecting") return false;
    clearTimeout(this.#timer);
    const session = this.#session;
    this.#session = undefined;
    this.#state = "idle";
    session?.end();
    return true;
  }

  /** Ends the connection. Statements that still wait are never settled. */
  close(): void {
    this.#queue.clear();
    this.#channels.clear();
    clearTimeout(this.#timer);
    const session = this.#session;
    this.#session = undefined;
    this.#state = "closed";
    session?.end();
  }

  /** Removes an entry for which nobody waits any more. */
  #withdraw(entry: Entry | undefined): void {
    if (entry === undefined || !this.#queue.remove(entry)) return;
    // The entry has waited for a session, so if its run fails, the connection is the cause.
    if (this.#session === undefined && entry.run !== undefined) entry.run.cause = "connection";
  }

  #enqueue(entry: Entry): void {
    const refused = this.#refuse(entry.run);
    if (refused !== undefined) {
      entry.settle(refused);
      return;
    }
    entry.run?.uses(this);
    this.#queue.add(entry);
    // A run asks immediately whether it may begin, not when its turn has come, so that waiting runs
    // do not ask one after another.
    if (this.#session !== undefined) this.#hasBegun(entry, this.#session);
    this.#pump();
  }

  /** Returns why a run may not send any more statements; undefined if it may. */
  #refuse(run: PgRun | undefined): Failed | undefined {
    if (run === undefined) return undefined;
    if (run.hasFailed) return { error: HANDLER_FAILED, cause: "script" };
    return this.#bereft.has(run) ? lostOutcome() : undefined;
  }

  /** Sends the next statement, if there is one and the session is free. */
  #pump(): void {
    if (this.#state === "idle" && (!this.#queue.isEmpty || this.#channels.size > 0))
      this.#connect();
    const session = this.#session;
    if (!session?.isFree || this.#lease !== undefined) return;
    if (session.inTransaction && (this.#owner?.isOver ?? true)) {
      this.#rollBack(session);
      return;
    }
    const entry = this.#queue.first(this.#owner);
    if (entry === undefined || !this.#hasBegun(entry, session)) return;
    this.#queue.remove(entry);
    if ("text" in entry) {
      this.#send(session, entry);
    } else if (this.#owner !== undefined) {
      entry.settle({ error: "the session is already in a transaction\n", cause: "script" });
      this.#pump();
    } else {
      this.#lease = entry;
      entry.grant(session);
    }
  }

  /**
   * Asks the daemon whether the run of an entry may begin, if the daemon has to be asked. Returns
   * true if the run may begin; otherwise the queue continues when the daemon has answered.
   */
  #hasBegun(entry: Entry, session: ServerSession): boolean {
    if (!("text" in entry) || !session.mayTakeEffect(entry.text.sql)) return true;
    const begun = entry.run?.effects?.begin();
    if (begun === undefined) return true;
    if (entry.isAsked) return false;
    entry.isAsked = true;
    begun.then(
      () => this.#pump(),
      (error: unknown) => {
        this.#queue.remove(entry);
        entry.settle(refusal(error));
        this.#pump();
      },
    );
    return false;
  }

  #send(session: ServerSession, statement: Statement): void {
    const { run, text } = statement;
    this.#current = statement;
    session.run(text, run?.effects).then((outcome) => {
      if (this.#current === statement) this.#current = undefined;
      if (this.#lease !== undefined || session !== this.#session) statement.settle(outcome);
      else statement.settle(this.#trackTransaction(session, run, outcome));
      this.#pump();
    });
  }

  /** Notes which run has begun a transaction by hand, or that the transaction has ended. */
  #trackTransaction(session: ServerSession, run: PgRun | undefined, outcome: Outcome): Outcome {
    this.#owner = session.inTransaction ? run : undefined;
    // If the run is over, `#pump` sends ROLLBACK next.
    if (!this.#owner?.isOver || "error" in outcome) return outcome;
    return {
      error: "a transaction that was begun outside a handler: rolled back\n",
      cause: "script",
    };
  }

  #rollBack(session: ServerSession): void {
    this.#owner = undefined;
    this.#send(session, {
      run: undefined,
      text: plainText("ROLLBACK"),
      // A session that cannot be brought out of its transaction is of no use.
      settle: () => session.inTransaction && session.destroy(),
    });
  }

  #connect(): void {
    this.#state = "connecting";
    const options = {
      conninfo: this.#conninfo,
      schema: this.#schema,
      channels: this.#channels,
    };
    const events = { ...this.#options, onEnd: (ended: ServerSession) => this.#ended(ended) };
    openSession(options, events).then(
      (session) => {
        if (this.#state === "closed") {
          session.end();
          return;
        }
        // The session has ended before it could be used.
        if (session.isBroken) {
          this.#connectFailed(new ConnectError(LOST));
          return;
        }
        this.#backoff.reset();
        this.#session = session;
        this.#state = "connected";
        for (const entry of this.#queue) this.#hasBegun(entry, session);
        this.#pump();
      },
      (error: unknown) => this.#connectFailed(error),
    );
  }

  #ended(session: ServerSession): void {
    if (this.#session !== session) return;
    this.#session = undefined;
    // No reply can come any more; the promise of `session.run` settles the current statement.
    this.#current = undefined;
    if (this.#owner !== undefined) this.#bereft.add(this.#owner);
    this.#owner = undefined;
    if (this.#state === "connected") this.#state = "idle";
    this.#pump();
  }

  /** Fails the entry that has waited longest; the others wait for the next attempt. */
  #connectFailed(error: unknown): void {
    if (this.#state === "closed") return;
    const expected = error instanceof ConnectError || error instanceof ConninfoError;
    const message = expected || error instanceof Error ? error.message : String(error);
    const oldest = this.#queue.first();
    if (oldest !== undefined) this.#queue.remove(oldest);
    this.#state = "pausing";
    this.#timer = setTimeout(() => {
      this.#state = "idle";
      this.#pump();
    }, this.#backoff.failed());
    oldest?.settle({ error: message, cause: "connection" });
  }

  /**
   * Queues LISTEN, unless the session is a pooler's. If that is not known, first queues the
   * statement that determines it.
   */
  #listenIn(session: ServerSession, channel: string): void {
    if (session.isPooled === undefined) {
      this.#addOwn(WHICH_PROCESS, (result) => {
        session.noteProcess(result);
        this.#listenIn(session, channel);
      });
    } else if (session.isPooled) this.#options.onNotice(notListening(channel));
    else this.#addOwn(listenTo(channel), () => {});
  }

  /** Queues a statement of our own, whose failure becomes a notice. */
  #addOwn(text: StatementText, done: (result: ResultSet) => void): void {
    const settle = (outcome: Outcome) => {
      if ("error" in outcome) this.#options.onNotice(outcome.error);
      else done(outcome.result);
    };
    this.#queue.add({ run: undefined, text, settle });
  }

  #transactionHooks(lease: Lease, session: ServerSession): TransactionHooks {
    const { run } = lease;
    const isGone = () => this.#session !== session || this.#lease !== lease;
    return {
      run: async (text) => {
        try {
          if (session.mayTakeEffect(text.sql)) await run.effects?.begin();
        } catch (error) {
          return refusal(error);
        }
        const refused = this.#refuse(run);
        if (refused !== undefined) return refused;
        if (isGone()) return lostOutcome();
        return new Promise((settle) => this.#send(session, { run, text, settle }));
      },
      end: () => this.#endLease(lease),
    };
  }

  #endLease(lease: Lease | undefined): void {
    if (lease === undefined || this.#lease !== lease) return;
    this.#lease = undefined;
    this.#pump();
  }
}

/** Returns the failure of a statement whose run may not begin. */
function refusal(error: unknown): Failed {
  return { error: `${errorText(error)}\n`, cause: "script" };
}
