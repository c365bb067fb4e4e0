/** Sends one statement and waits until the server is ready for the next. */
import type { Client, QueryArrayResult } from "pg";
import type { FailureCause } from "../runtime/task.ts";
import { formatServerMessage, type ServerMessage } from "./message.ts";

export interface StatementText {
  sql: string;
  /** If undefined, the simple query protocol is used, which allows several statements in `sql`. */
  parameters: (string | null)[] | undefined;
}

/** Returns a query string without parameters, which may contain several commands. */
export function plainText(sql: string): StatementText {
  return { sql, parameters: undefined };
}

export interface ResultSet {
  /** INSERT, SELECT, ... */
  command: string | undefined;
  columns: string[];
  rows: (string | null)[][];
  /** The number of rows in the server's command tag. */
  affected: number | undefined;
}

export interface Failed {
  /** The message in the words of libpq. */
  error: string;
  /** The cause of the run's failure, if the run fails because of this statement. */
  cause: FailureCause;
}

export type Outcome = { result: ResultSet } | Failed;

/** The server's answer to a statement. */
export type Reply = { result: ResultSet } | { error: unknown };

/**
 * Sends a statement. Never rejects. When it resolves with an error, the server is ready again
 * or the session is lost.
 */
export async function runStatement(
  client: Client,
  { sql, parameters }: StatementText,
): Promise<Reply> {
  let becomeIdle = () => {};
  const idle = new Promise<void>((resolve) => {
    becomeIdle = resolve;
  });
  client.once("drain", becomeIdle);
  client.once("end", becomeIdle);
  try {
    const results = await client.query({
      text: sql,
      rowMode: "array",
      ...(parameters === undefined ? {} : { values: parameters, queryMode: "extended" }),
    });
    return { result: toResultSet(lastOf(results)) };
  } catch (error) {
    await idle;
    return { error };
  } finally {
    client.removeListener("drain", becomeIdle);
    client.removeListener("end", becomeIdle);
  }
}

/** Returns the result of the last one of several statements. */
function lastOf(results: QueryArrayResult | QueryArrayResult[]): QueryArrayResult | undefined {
  return Array.isArray(results) ? results.at(-1) : results;
}

function toResultSet(result: QueryArrayResult | undefined): ResultSet {
  return {
    command: result?.command ?? undefined,
    columns: (result?.fields ?? []).map(({ name }) => name),
    rows: result?.rows ?? [],
    affected: result?.rowCount ?? undefined,
  };
}

/**
 * Returns the message for an error.
 * @param lost the message to return if the session was lost without an error of the server
 */
export function describeError(error: unknown, sql: string, lost: string): string {
  if (!(error instanceof Error)) return String(error);
  if ("severity" in error) return formatServerMessage(error as ServerMessage, sql);
  if (/^Connection terminated|not queryable/.test(error.message)) return lost;
  return "code" in error ? lost : `${error.message}\n`;
}
