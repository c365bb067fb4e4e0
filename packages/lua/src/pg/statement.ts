/** Sends one statement and waits until the server is ready for the next. */
import type { Client, QueryArrayResult } from "pg";
import { formatServerMessage, type ServerMessage } from "./message.ts";

export interface StatementText {
  sql: string;
  /** Without them the simple protocol is used, which takes several statements at once. */
  parameters: (string | null)[] | undefined;
}

export interface ResultSet {
  /** INSERT, SELECT, ... */
  command: string | undefined;
  columns: string[];
  rows: (string | null)[][];
  /** As the server's command tag has it. */
  affected: number | undefined;
}

export type Outcome = { result: ResultSet } | { error: string };

/** What of node-postgres's client its types do not mention. */
interface RawClient {
  connection: {
    once(event: "copyOutResponse", listener: () => void): void;
    removeListener(event: "copyOutResponse", listener: () => void): void;
  };
}

/** Never rejects. @param lost the message where the session broke meanwhile */
export async function runStatement(
  client: Client,
  { sql, parameters }: StatementText,
  lost: string,
): Promise<Outcome> {
  let copied = false;
  const onCopy = () => {
    copied = true;
  };
  const { connection } = client as unknown as RawClient;
  connection.once("copyOutResponse", onCopy);
  let becomeIdle = () => {};
  const idle = new Promise<void>((resolve) => {
    becomeIdle = resolve;
  });
  // An error comes before the server is ready again, or is gone.
  client.once("drain", becomeIdle);
  client.once("end", becomeIdle);
  try {
    const results = await client.query({
      text: sql,
      rowMode: "array",
      ...(parameters === undefined ? {} : { values: parameters, queryMode: "extended" }),
    });
    return copied
      ? { error: "COPY to the client is not supported\n" }
      : { result: toResultSet(lastOf(results)) };
  } catch (error) {
    await idle;
    return { error: describeError(error, sql, lost) };
  } finally {
    connection.removeListener("copyOutResponse", onCopy);
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

function describeError(error: unknown, sql: string, lost: string): string {
  if (!(error instanceof Error)) return String(error);
  if ("severity" in error) return formatServerMessage(error as ServerMessage, sql);
  if (/^Connection terminated|not queryable/.test(error.message)) return lost;
  return "code" in error ? lost : `${error.message}\n`;
}
