/** Opens a session at one address, with TLS or without, and logs in. */
import type { Client, ClientConfig } from "pg";
import { reserve } from "../compat/memory.ts";
import { AuthenticationRules, type Method } from "./authentication.ts";
import { rawClient } from "./cancel.ts";
import { readPassword } from "./passfile.ts";
import { prepareSocket } from "./socket-options.ts";
import { type Host, SOCKET_DIRECTORY, type Target } from "./target.ts";
import { tlsOptions } from "./tls.ts";

/** An address of a host. */
export interface Address {
  readonly host: Host;
  /** The directory of a Unix socket, or an IP address. */
  readonly address: string;
}

/** Returns true if an address is the directory of a Unix socket. */
export function isSocket(address: string): boolean {
  return address.startsWith("/");
}

/** What a login needs in addition to its address. */
export interface Login<T> {
  readonly target: Target;
  /** Sets the handlers of a client before it connects, and returns its session. */
  setup(client: Client): T;
  /** Called with warnings in the words of libpq. */
  warn(text: string): void;
}

/** The message of libpq, and of node-postgres, if connecting takes too long. */
export const TIMED_OUT = "timeout expired";

/**
 * Waits for work in a session that the script cannot use yet.
 * @param expire called with the error if the work takes longer than a login may
 */
export async function inTime<T>(
  { connectTimeoutMs }: Target,
  work: Promise<T>,
  expire: (error: Error) => void,
): Promise<T> {
  if (connectTimeoutMs === undefined) return await work;
  const timer = setTimeout(() => expire(new Error(TIMED_OUT)), connectTimeoutMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

/** Thrown if the server has refused a password from a file; the cause is the server's error. */
export class FilePasswordRefused extends Error {
  override name = "FilePasswordRefused";

  constructor(path: string, cause: unknown) {
    super(`password retrieved from file "${path}"`, { cause });
  }
}

/**
 * Connects and logs in.
 * @throws Error of the system, of TLS, or of the server; only the server's has a `severity`
 */
export async function logIn<T>(
  { target, setup, warn }: Login<T>,
  { host, address }: Address,
  isEncrypted: boolean,
): Promise<{ client: Client; session: T }> {
  const rules = new AuthenticationRules(target);
  let hasUsedFile = false;
  const password = () => {
    const refused = rules.refuseRequest(isEncrypted);
    if (refused !== undefined) throw new Error(refused);
    const found = target.option("password") || passwordOfFile(target, host, warn);
    if (!found) throw new Error("fe_sendauth: no password supplied");
    hasUsedFile = !target.option("password");
    return found;
  };
  // Loaded only when a script needs it: otherwise, loading it would take up most of the script
  // host's start-up time.
  const { default: PgClient } = await import("pg/lib/client.js");
  const client = new PgClient({
    host: address,
    port: host.port,
    user: target.user,
    database: target.database,
    password,
    ssl: isEncrypted,
    sslnegotiation: isEncrypted ? target.option("sslnegotiation") : "postgres",
    enableChannelBinding: isEncrypted && rules.wantsBinding,
    connectionTimeoutMillis: target.connectTimeoutMs ?? 0,
    types: { getTypeParser: () => keepValue },
  } as ClientConfig);
  // Without a handler, an error of an idle client would end the process.
  client.on("error", () => {});
  const raw = rawClient(client);
  raw.getStartupConf = () => ({
    user: target.user,
    database: target.database,
    ...Object.fromEntries(target.settings),
  });
  watchProtocol(raw.connection, rules);
  raw.connection.on("connect", () => {
    const { stream } = raw.connection;
    try {
      prepareSocket(stream, target, isSocket(address));
    } catch (error) {
      stream.destroy(toError(error));
    }
  });
  // Certificates and keys are not read before this point: without TLS they are not needed.
  const upgrade = raw.connection.upgradeToSSL.bind(raw.connection);
  raw.connection.upgradeToSSL = (...rest) => {
    try {
      raw.connection.ssl = tlsOptions(target, host);
      upgrade(...rest);
    } catch (error) {
      raw.connection.stream.destroy(toError(error));
    }
  };
  const session = setup(client);
  try {
    await client.connect();
  } catch (error) {
    client.end().catch(() => {});
    const isFromFile = hasUsedFile && sqlState(error) === "28P01";
    throw isFromFile ? new FilePasswordRefused(target.passfile ?? "", error) : error;
  }
  return { client, session };
}

/** V8's memory for a value of a row in addition to its text, in bytes; a generous estimate. */
const VALUE_BYTES = 64;

/**
 * Returns a value of a result unchanged. If it throws OutOfMemory, node-postgres drops the remaining
 * rows, and the statement fails with this error when the server is ready again.
 */
function keepValue(text: string): string {
  reserve(text.length + VALUE_BYTES);
  return text;
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

type RawConnection = ReturnType<typeof rawClient>["connection"];

/** Holds the server to the rules, and ends the session if a message is invalid. */
function watchProtocol(connection: RawConnection, rules: AuthenticationRules): void {
  const requested = (method: Method) => (message: { mechanisms?: string[] }) =>
    rules.request(method, message.mechanisms);
  connection.on("authenticationCleartextPassword", requested("password"));
  connection.on("authenticationMD5Password", requested("md5"));
  connection.on("authenticationSASL", requested("scram-sha-256"));
  connection.on("authenticationOk", () => {
    const refused = rules.refuseEntry();
    // Emitted immediately, because the server's next message, which completes the login, may
    // already have arrived.
    if (refused !== undefined) connection.emit("error", new Error(refused));
  });
  const attach = connection.attachListeners.bind(connection);
  connection.attachListeners = (stream) =>
    attach({
      on: (event, listener) =>
        stream.on(event, (data) => {
          try {
            listener(data);
          } catch (error) {
            connection.stream.destroy(protocolError(error, rules));
          }
        }),
    });
}

/** Returns the error for a message that node-postgres cannot parse, such as a GSSAPI request. */
function protocolError(error: unknown, rules: AuthenticationRules): Error {
  const { message } = toError(error);
  const code = /^Unknown authenticationOk message type (\d+)$/.exec(message)?.[1];
  if (code === undefined) return new Error(`the server violated the protocol: ${message}`);
  const methods: Readonly<Record<string, Method>> = { "7": "gss", "9": "sspi" };
  const method = methods[code];
  if (method !== undefined) rules.request(method);
  const refused = method === undefined ? undefined : rules.refuseRequest(false);
  return new Error(
    refused ?? `authentication method ${method?.toUpperCase() ?? code} not supported`,
  );
}

function passwordOfFile(
  target: Target,
  { host, port }: Host,
  warn: (text: string) => void,
): string | undefined {
  if (target.passfile === undefined) return undefined;
  const key = {
    host: host === SOCKET_DIRECTORY ? "localhost" : host,
    port: String(port),
    database: target.database,
    user: target.user,
  };
  return readPassword(target.passfile, key, warn);
}

/**
 * Returns the SQLSTATE of an error of the server; undefined for other errors.
 * @see PostgreSQL manual, "PostgreSQL Error Codes"
 */
export function sqlState(error: unknown): string | undefined {
  return error instanceof Error && "severity" in error && "code" in error
    ? String(error.code)
    : undefined;
}
