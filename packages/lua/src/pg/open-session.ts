/** Opens a session as scripts expect it: with its schema, and its channels listened to. */
import { ConnectError, connect } from "./connect.ts";
import { ServerSession, type SessionEvents } from "./server-session.ts";
import { resolveTarget } from "./target.ts";

export interface SessionOptions {
  readonly conninfo: string;
  /** Searched alone; empty for the server's search path. */
  readonly schema: string;
  readonly channels: Iterable<string>;
}

/** @throws ConninfoError; ConnectError that says why there is no session */
export async function openSession(
  { conninfo, schema, channels }: SessionOptions,
  events: SessionEvents,
): Promise<ServerSession> {
  const target = resolveTarget(conninfo);
  const session = await connect(target, (client) => new ServerSession(client, events));
  const prepare = async (sql: string, what: string) => {
    const outcome = await session.run({ sql, parameters: undefined }, undefined);
    if ("error" in outcome) {
      session.end();
      throw new ConnectError(`${what}; ${outcome.error}`);
    }
  };
  if (schema !== "")
    await prepare(`SET SCHEMA '${schema.replaceAll("'", "''")}'`, "Failed to set schema");
  for (const channel of channels)
    await prepare(listenSql(channel), `Failed to listen on ${channel}`);
  return session;
}

export function listenSql(channel: string): string {
  return `LISTEN "${channel.replaceAll('"', '""')}"`;
}
