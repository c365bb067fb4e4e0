/**
 * Opens a session as scripts expect it: sets its schema, and listens on its channels.
 *
 * The schema and the channels belong to a session, but a client of a pooler in transaction mode has
 * no session of its own. Behind such a pooler, the schema is set for each transaction, and there
 * are no notifications. A pooler is recognised by its cancellation keys, which do not name the
 * process that answers. Its mode cannot be recognised: without `pool_mode=session` in the
 * connection string, transaction mode is assumed.
 */
import { ConnectError, connect } from "./connect.ts";
import { inTime } from "./login.ts";
import { ServerSession, type SessionEvents } from "./server-session.ts";
import { plainText, type StatementText } from "./statement.ts";
import { resolveTarget } from "./target.ts";

export interface SessionOptions {
  readonly conninfo: string;
  /** The schema that is searched; empty for the server's search path. */
  readonly schema: string;
  readonly channels: Iterable<string>;
}

/**
 * Opens the session, which the caller ends.
 * @throws ConninfoError; ConnectError with the reason why there is no session
 */
export async function openSession(
  options: SessionOptions,
  events: SessionEvents,
): Promise<ServerSession> {
  const target = resolveTarget(options.conninfo);
  const session = await connect({
    target,
    setup: (client) => new ServerSession(client, events),
    warn: events.onNotice,
  });
  const mode = target.option("pool_mode");
  if (mode !== undefined) session.isPooled = mode !== "session";
  await inTime(target, prepare(session, options, events), (error) => session.destroy(error));
  return session;
}

/** Sets the schema and listens. @throws ConnectError; the session is ended */
async function prepare(
  session: ServerSession,
  { schema, channels }: SessionOptions,
  events: SessionEvents,
): Promise<void> {
  const run = async (text: StatementText, what: string) => {
    const outcome = await session.run(text, undefined);
    if ("result" in outcome) return outcome.result;
    session.end();
    throw new ConnectError(`${what}; ${outcome.error}`);
  };
  const all = [...channels];
  if (session.isPooled === undefined && (schema !== "" || all.length > 0))
    session.noteProcess(await run(WHICH_PROCESS, "Failed to ask for the process"));
  if (schema !== "") {
    if (session.isPooled) session.useSchemaOfPool(schema);
    else await run(setSchema(schema), "Failed to set schema");
  }
  for (const channel of all) {
    if (session.isPooled) events.onNotice(notListening(channel));
    else await run(listenTo(channel), `Failed to listen on ${channel}`);
  }
}

/**
 * The statement that asks which process executes it. The answer tells the sessions of a pooler from
 * those of a server.
 */
export const WHICH_PROCESS: StatementText = plainText("SELECT pg_backend_pid()");

function setSchema(schema: string): StatementText {
  return plainText(`SET SCHEMA '${schema.replaceAll("'", "''")}'`);
}

/** Returns the statement that listens on a channel, whatever its name. */
export function listenTo(channel: string): StatementText {
  return plainText(`LISTEN "${channel.replaceAll('"', '""')}"`);
}

/** Returns the notice that explains why there are no notifications on a channel. */
export function notListening(channel: string): string {
  return `not listening on "${channel}": a pooler between us and the server may give our session to another client; pool_mode=session in the connection string states that it does not\n`;
}
