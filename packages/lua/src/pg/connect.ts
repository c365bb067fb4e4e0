/** Opens one session: the hosts of a target in turn, with and without TLS. */
import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import type { ConnectionOptions } from "node:tls";
import type { Client, ClientConfig } from "pg";
import { systemErrorText } from "../compat/system-error.ts";
import { formatServerMessage, type ServerMessage } from "./message.ts";
import { readPassword } from "./passfile.ts";
import type { Host, SslMode, Target } from "./target.ts";

/** No session; the message is libpq's, in one line. */
export class ConnectError extends Error {
  override name = "ConnectError";

  constructor(message: string) {
    super(message.replace(/\s+/g, " ").trim());
  }
}

/** One address of a host. */
interface Address {
  host: Host;
  /** A directory or an IP address. */
  address: string;
}

/** Installs the handlers of a client before it connects, and makes a session of it. */
type SessionSetup<T> = (client: Client) => T;

/** @throws ConnectError with the messages of all hosts */
export async function connect<T>(target: Target, setup: SessionSetup<T>): Promise<T> {
  const failures: string[] = [];
  const passes =
    target.sessionAttributes === "prefer-standby" ? ["standby", "any"] : [target.sessionAttributes];
  for (const attributes of passes) {
    for (const host of target.hosts) {
      for (const address of await resolve(host, failures)) {
        const session = await tryAddress(target, address, attributes, setup, failures);
        if (session !== undefined) return session;
      }
    }
  }
  throw new ConnectError(failures.join("\n"));
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

/** getaddrinfo(3)'s own words for what Node gives a code. */
function lookupErrorText(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOTFOUND") return "Name or service not known";
  if (code === "EAI_AGAIN") return "Temporary failure in name resolution";
  return systemErrorText(error);
}

function isSocket(address: string): boolean {
  return address.startsWith("/");
}

async function tryAddress<T>(
  target: Target,
  address: Address,
  attributes: string,
  setup: SessionSetup<T>,
  failures: string[],
): Promise<T | undefined> {
  for (const tls of encryptions(target.sslMode, address)) {
    try {
      const { client, session } = await open(target, address, tls, setup);
      const mismatch = await attributeMismatch(client, attributes);
      if (mismatch === undefined) return session;
      client.end().catch(() => {});
      failures.push(`connection to server ${describe(address)} failed: ${mismatch}`);
      return undefined;
    } catch (error) {
      failures.push(`connection to server ${describe(address)} failed: ${reason(error, address)}`);
      // Nobody is there, with TLS or without.
      if (isSystemError(error) && error.syscall === "connect") return undefined;
    }
  }
  return undefined;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && "syscall" in error;
}

/** In the order in which they are tried. */
function encryptions(mode: SslMode, { address }: Address): boolean[] {
  if (isSocket(address)) return [false];
  if (mode === "disable") return [false];
  if (mode === "allow") return [false, true];
  return mode === "prefer" ? [true, false] : [true];
}

async function open<T>(
  target: Target,
  { host, address }: Address,
  tls: boolean,
  setup: SessionSetup<T>,
): Promise<{ client: Client; session: T }> {
  // Loaded when a script first needs it: most of the host's start-up time would be this.
  const { default: PgClient } = await import("pg/lib/client.js");
  const client = new PgClient({
    host: address,
    port: host.port,
    user: target.user,
    database: target.database,
    password: () => password(target, host),
    ssl: tls ? tlsOptions(target, host) : false,
    application_name:
      target.other.get("application_name") ?? target.other.get("fallback_application_name"),
    options: target.other.get("options"),
    connectionTimeoutMillis: target.connectTimeoutMs,
    keepAlive: true,
    types: { getTypeParser: () => (text: string) => text },
  } as ClientConfig);
  // Without a handler an error of an idle client ends the process.
  client.on("error", () => {});
  const session = setup(client);
  try {
    await client.connect();
  } catch (error) {
    client.end().catch(() => {});
    throw error;
  }
  return { client, session };
}

function password(target: Target, host: Host): string {
  const found =
    target.password ??
    readPassword(target.passfile, {
      host: isSocket(host.host) ? "localhost" : host.host,
      port: String(host.port),
      database: target.database,
      user: target.user,
    });
  if (found === undefined) throw new Error("fe_sendauth: no password supplied");
  return found;
}

/** What the modes promise: `require` encrypts, `verify-ca` checks who signed, `verify-full` also the name. */
function tlsOptions(target: Target, host: Host): ConnectionOptions {
  const { sslMode, other } = target;
  const file = (name: string, fallback: string) => {
    const path = other.get(name) ?? join(homedir(), ".postgresql", fallback);
    try {
      return readFileSync(path);
    } catch (error) {
      // The files in the home directory need not exist.
      if (other.has(name))
        throw new Error(`could not read ${name} "${path}": ${systemErrorText(error)}`);
      return undefined;
    }
  };
  const ca = other.get("sslrootcert") === "system" ? undefined : file("sslrootcert", "root.crt");
  const verify = sslMode.startsWith("verify-") || (sslMode === "require" && ca !== undefined);
  const cert = file("sslcert", "postgresql.crt");
  const key = cert === undefined ? undefined : file("sslkey", "postgresql.key");
  return {
    rejectUnauthorized: verify,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(isIP(host.host) === 0 ? { servername: host.host } : {}),
    ...(sslMode === "verify-full" ? {} : { checkServerIdentity: () => undefined }),
  };
}

/** Why the session is not of the kind that is asked for. */
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
  const name = host.host === address ? `"${address}"` : `"${host.host}" (${address})`;
  return `at ${name}, port ${host.port}`;
}

function reason(error: unknown, { address }: Address): string {
  if (!(error instanceof Error)) return String(error);
  if ("severity" in error) return formatServerMessage(error as ServerMessage, undefined);
  const text = systemErrorText(error);
  if (!isSystemError(error)) return text;
  const where = isSocket(address)
    ? "Is the server running locally and accepting connections on that socket?"
    : "Is the server running on that host and accepting TCP/IP connections?";
  return `${text}\n\t${where}`;
}
