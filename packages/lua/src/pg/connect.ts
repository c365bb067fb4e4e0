/**
 * Opens a session: tries the hosts of a target in turn, with and without TLS. As in libpq, the
 * next host is tried if a host has no session of the right kind, but not after a server has
 * refused the login: another host would hide a wrong password.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Client } from "pg";
import { systemErrorText } from "../compat/system-error.ts";
import { AuthenticationRules } from "./authentication.ts";
import { rawClient } from "./cancel.ts";
import {
  type Address,
  FilePasswordRefused,
  inTime,
  isSocket,
  type Login,
  logIn,
  sqlState,
  TIMED_OUT,
} from "./login.ts";
import { formatServerMessage, type ServerMessage } from "./message.ts";
import type { Host, Target } from "./target.ts";

/** Thrown if no session can be opened; the message is libpq's. */
export class ConnectError extends Error {
  override name = "ConnectError";

  constructor(message: string) {
    super(message.replace(/\s+/g, " ").trim());
  }
}

/** The SQLSTATE of "the database system is starting up" and the like; the next host is tried. */
const CANNOT_CONNECT_NOW = "57P03";

const NO_TLS = "The server does not support SSL connections";

/**
 * Opens a session with the first host that has one of the right kind.
 * @throws ConnectError with the messages of all hosts that were tried
 */
export async function connect<T>(login: Login<T>): Promise<T> {
  const { target } = login;
  // As in libpq, invalid rules are reported before any host is tried.
  new AuthenticationRules(target);
  const failures: string[] = [];
  const wanted = target.option("target_session_attrs") ?? "any";
  const passes = wanted === "prefer-standby" ? ["standby", "any"] : [wanted];
  for (const attributes of passes) {
    for (const host of inOrder(target, target.hosts)) {
      for (const address of inOrder(target, await resolve(host, failures))) {
        const found = await tryAddress(login, address, attributes, failures);
        if (found === "refused") throw new ConnectError(failures.join("\n"));
        if (found !== undefined) return found.session;
      }
    }
  }
  throw new ConnectError(failures.join("\n"));
}

function inOrder<E>(target: Target, all: readonly E[]): readonly E[] {
  if (target.option("load_balance_hosts") !== "random") return all;
  return all
    .map((value) => ({ value, rank: Math.random() }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ value }) => value);
}

async function resolve(host: Host, failures: string[]): Promise<Address[]> {
  const address = host.hostaddr ?? host.host;
  if (isSocket(address) || isIP(address) !== 0) return [{ host, address }];
  try {
    const found = await lookup(address, { all: true });
    return found.map((entry) => ({ host, address: entry.address }));
  } catch (error) {
    const text = lookupErrorText(error);
    failures.push(`could not translate host name "${address}" to address: ${text}`);
    return [];
  }
}

/** Returns the message of getaddrinfo(3) for an error of Node's `lookup`. */
function lookupErrorText(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOTFOUND") return "Name or service not known";
  if (code === "EAI_AGAIN") return "Temporary failure in name resolution";
  return systemErrorText(error);
}

/** Tries an address. Returns undefined if the next one is to be tried. */
async function tryAddress<T>(
  login: Login<T>,
  address: Address,
  attributes: string,
  failures: string[],
): Promise<{ session: T } | "refused" | undefined> {
  const mode = login.target.option("sslmode");
  let isRefused = false;
  for (const tls of encryptions(mode, address)) {
    try {
      const { client, session } = await logIn(login, address, tls);
      const mismatch = await inTime(login.target, attributeMismatch(client, attributes), (error) =>
        rawClient(client).connection.stream.destroy(error),
      );
      if (mismatch === undefined) return { session };
      client.end().catch(() => {});
      failures.push(`connection to server ${describe(address)} failed: ${mismatch}`);
      return undefined;
    } catch (error) {
      // This is not a failure: the session may do without TLS.
      const isOptional = mode === "prefer" || mode === "allow";
      if (isOptional && error instanceof Error && error.message === NO_TLS) continue;
      failures.push(`connection to server ${describe(address)} failed: ${reason(error, address)}`);
      // There is no server at this address, with TLS or without.
      if (isSystemError(error) && error.syscall === "connect") return undefined;
      if (error instanceof Error && error.message === TIMED_OUT) return undefined;
      isRefused = isRefusal(error);
    }
  }
  return isRefused ? "refused" : undefined;
}

function isRefusal(error: unknown): boolean {
  const state = sqlState(error instanceof FilePasswordRefused ? error.cause : error);
  return state !== undefined && state !== CANNOT_CONNECT_NOW;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && "syscall" in error;
}

/** Returns the ways to connect, true for TLS, in the order in which they are tried. */
function encryptions(mode: string | undefined, { address }: Address): boolean[] {
  if (isSocket(address)) return [false];
  if (mode === "disable") return [false];
  if (mode === "allow") return [false, true];
  return mode === "prefer" ? [true, false] : [true];
}

/** Returns the reason why the session is not of the kind that is asked for; undefined if it is. */
async function attributeMismatch(client: Client, attributes: string): Promise<string | undefined> {
  if (attributes === "any") return undefined;
  const asked = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')";
  const { rows } = await client.query({ text: asked, rowMode: "array" });
  const [row] = rows;
  const isStandby = row?.[0] === "t";
  const isReadOnly = isStandby || row?.[1] === "on";
  if (attributes === "read-write" && isReadOnly) return "session is read-only";
  if (attributes === "read-only" && !isReadOnly) return "session is not read-only";
  if (attributes === "primary" && isStandby) return "server is in hot standby mode";
  if (attributes === "standby" && !isStandby) return "server is not in hot standby mode";
  return undefined;
}

function describe({ host, address }: Address): string {
  if (isSocket(address)) return `on socket "${address}/.s.PGSQL.${host.port}"`;
  const isGiven = host.hostaddr !== undefined || host.host === address;
  const name = isGiven ? `"${address}"` : `"${host.host}" (${address})`;
  return `at ${name}, port ${host.port}`;
}

function reason(error: unknown, address: Address): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof FilePasswordRefused)
    return `${reason(error.cause, address)} ${error.message}`;
  if ("severity" in error) return formatServerMessage(error as ServerMessage, undefined);
  if (error.message === NO_TLS) return "server does not support SSL, but SSL was required";
  const text = systemErrorText(error);
  if (!isSystemError(error)) return text;
  const where = isSocket(address.address)
    ? "Is the server running locally and accepting connections on that socket?"
    : "Is the server running on that host and accepting TCP/IP connections?";
  return `${text}\n\t${where}`;
}
