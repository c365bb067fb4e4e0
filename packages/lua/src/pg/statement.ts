/** Sends one statement and waits until the server is ready for the next. */
import type { Client, QueryArrayResult } from "pg";
import type { FailureCause } from "../runtime/task.ts";
import { formatServerMessage, type ServerMessage } from "./message.ts";

export interface StatementText {
  sql: string;
  /** Without them the simple protocol is used, which takes several statements at once. */
  parameters: (string | null)[] | undefined;
}

/** Returns a text without parameters, which may have several commands. */
export function plainText(sql: string): StatementText {
  return { sql, parameters: undefined };
}

export interface ResultSet {
  /** INSERT, SELECT, ... */
  command: string | undefined;
  columns: string[];
  rows: (string | null)[][];
  /** As the server's command tag has it. */
  affected: number | undefined;
}

export interface Failed {
  /** In libpq's words. */
  error: string;
  /** Of a failure of the run, if it does not get over this. */
  cause: FailureCause;
}

export type Outcome = { result: ResultSet } | Failed;

/** What came back for a statement. */
export type Reply = { result: ResultSet } | { error: unknown };

/** Never rejects. With an error, the server is ready again or gone when it resolves. */
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

/** Of several statements the last one counts. */
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

/** @param lost the message if the session broke without a word of the server */
export function describeError(error: unknown, sql: string, lost: string): string {
  if (!(error instanceof Error)) return String(error);
  if ("severity" in error) return formatServerMessage(error as ServerMessage, sql);
  if (/^Connection terminated|not queryable/.test(error.message)) return lost;
  return "code" in error ? lost : `${error.message}\n`;
}
