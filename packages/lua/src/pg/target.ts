/**
 * The server and user of a connection: a connection string completed from the service file, the
 * environment and libpq's defaults.
 * @see PostgreSQL manual, "Parameter Key Words", "Environment Variables"
 */
import { userInfo } from "node:os";
import { join } from "node:path";
import { parseConninfo } from "./conninfo.ts";
import {
  ConninfoError,
  checkOptions,
  optionNames,
  type Parameters,
  SESSION_VARIABLES,
  variableOf,
} from "./options.ts";
import { readService } from "./service.ts";

/** A server to try. */
export interface Host {
  /** The directory of a Unix socket, a name, or an address. */
  readonly host: string;
  /** An address that is used instead of resolving `host`. */
  readonly hostaddr: string | undefined;
  readonly port: number;
}

export interface Target {
  readonly hosts: readonly Host[];
  readonly user: string;
  readonly database: string;
  readonly passfile: string | undefined;
  /** The user's home directory, if there is one. */
  readonly home: string | undefined;
  /** The time for a session with one address. */
  readonly connectTimeoutMs: number | undefined;
  /** Settings of the session, by their names on the server. */
  readonly settings: Parameters;
  /** Returns the value of an option, wherever it was given, or its default. */
  option(name: string): string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULTS: Readonly<Record<string, string>> = {
  channel_binding: "prefer",
  load_balance_hosts: "disable",
  sslcertmode: "allow",
  sslnegotiation: "postgres",
  sslsni: "1",
  ssl_min_protocol_version: "TLSv1.2",
  target_session_attrs: "any",
};

/** The directory in which Debian's libpq looks for the socket. */
export const SOCKET_DIRECTORY = "/var/run/postgresql";

/**
 * The default of `connect_timeout`: half of the time that handlers have by default, so that a
 * handler gets the reason, and may still be served by the next host.
 */
const CONNECT_SECONDS = "30";

/** If the delay is longer than this, Node's timers expire after 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Completes a connection string. @throws ConninfoError */
export function resolveTarget(conninfo: string, env: Environment = process.env): Target {
  const given = completed(parseConninfo(conninfo), env);
  checkOptions(given);
  const value = (name: string) => given.get(name) || undefined;
  const user = value("user") ?? ownName();
  const home = homeDirectory(env);
  const passfile = value("passfile") ?? (home === undefined ? undefined : join(home, ".pgpass"));
  const sslMode =
    given.get("sslmode") ?? (value("sslrootcert") === "system" ? "verify-full" : "prefer");
  given.set("sslmode", sslMode);
  checkTls(given);
  return {
    hosts: listHosts(value("host"), value("hostaddr"), value("port")),
    user,
    database: value("dbname") ?? user,
    passfile,
    home,
    connectTimeoutMs: timeout(value("connect_timeout")),
    settings: sessionSettings(given, env),
    option: (name) => given.get(name) ?? DEFAULTS[name],
  };
}

/**
 * Adds options from the service and the environment. An option that is already given, even as an
 * empty string, is not replaced.
 */
function completed(given: Parameters, env: Environment): Parameters {
  const fromEnvironment = (name: string) => {
    const variable = variableOf(name);
    return variable === undefined ? undefined : env[variable];
  };
  const all = new Map(given);
  const named = given.get("service") ?? fromEnvironment("service");
  if (named !== undefined) {
    const own = given.get("servicefile") ?? fromEnvironment("servicefile");
    const files = { own, home: homeDirectory(env), system: env["PGSYSCONFDIR"] };
    for (const [name, value] of readService(named, files)) if (!all.has(name)) all.set(name, value);
  }
  for (const name of optionNames) {
    const value = fromEnvironment(name);
    if (value !== undefined && !all.has(name)) all.set(name, value);
  }
  // PGREQUIRESSL is the old form of PGSSLMODE.
  if (!all.has("sslmode") && env["PGREQUIRESSL"]?.startsWith("1")) all.set("sslmode", "require");
  return all;
}

/** Checks the TLS options. @throws ConninfoError if they contradict each other */
function checkTls(given: Parameters): void {
  const mode = given.get("sslmode");
  const isWeak = !["require", "verify-ca", "verify-full"].includes(mode ?? "");
  if (given.get("sslrootcert") === "system" && mode !== "verify-full")
    throw new ConninfoError(
      `weak sslmode "${mode}" may not be used with sslrootcert=system (use "verify-full")`,
    );
  if (given.get("sslnegotiation") === "direct" && isWeak)
    throw new ConninfoError(
      `weak sslmode "${mode}" may not be used with sslnegotiation=direct (use "require", "verify-ca", or "verify-full")`,
    );
  const lowest = (given.get("ssl_min_protocol_version") || "TLSv1.2").toLowerCase();
  const highest = given.get("ssl_max_protocol_version")?.toLowerCase();
  // The names sort as the versions do.
  if (highest && highest < lowest) throw new ConninfoError("invalid SSL protocol version range");
}

function sessionSettings(given: Parameters, env: Environment): Parameters {
  const settings: Parameters = new Map();
  const name = given.get("application_name") || given.get("fallback_application_name");
  if (name) settings.set("application_name", name);
  const options = given.get("options");
  if (options) settings.set("options", options);
  for (const [variable, setting] of Object.entries(SESSION_VARIABLES)) {
    const value = env[variable];
    // With the value "default", libpq leaves the setting to the server.
    if (value !== undefined && value.toLowerCase() !== "default") settings.set(setting, value);
  }
  return settings;
}

/** Returns the name of our user. @throws ConninfoError if our uid has none */
function ownName(): string {
  try {
    return userInfo().username;
  } catch {
    throw new ConninfoError(`local user with ID ${process.geteuid?.()} does not exist`);
  }
}

function homeDirectory(env: Environment): string | undefined {
  if (env["HOME"]) return env["HOME"];
  try {
    return userInfo().homedir;
  } catch {
    // A uid without an entry in passwd(5) has no home directory.
    return undefined;
  }
}

function listHosts(
  host: string | undefined,
  hostaddr: string | undefined,
  port: string | undefined,
): Host[] {
  const addresses = hostaddr?.split(",");
  const names = host?.split(",") ?? addresses?.map(() => "") ?? [SOCKET_DIRECTORY];
  if (addresses !== undefined && addresses.length !== names.length)
    throw new ConninfoError(
      `could not match ${names.length} host names to ${addresses.length} hostaddr values`,
    );
  const ports = port?.split(",") ?? [""];
  if (ports.length !== 1 && ports.length !== names.length)
    throw new ConninfoError(
      `could not match ${ports.length} port numbers to ${names.length} hosts`,
    );
  return names.map((name, i) => {
    const address = addresses?.[i] || undefined;
    const found = name || address || SOCKET_DIRECTORY;
    if (found.startsWith("@"))
      throw new ConninfoError('connection option "host" is not supported: an abstract socket');
    return {
      host: found,
      hostaddr: address,
      port: portNumber(ports[ports.length === 1 ? 0 : i] ?? ""),
    };
  });
}

function portNumber(text: string): number {
  if (text === "") return 5432;
  const port = Number(text);
  if (!/^\s*[-+]?\d+\s*$/.test(text))
    throw new ConninfoError(`invalid integer value "${text}" for connection option "port"`);
  if (port < 1 || port > 65535) throw new ConninfoError(`invalid port number: "${text}"`);
  return port;
}

/**
 * Returns a timeout in ms. As in libpq, 0 s or less means no timeout, and 1 s means 2 s. In libpq,
 * there is no timeout by default; but here, all handlers wait for one session.
 */
function timeout(text = CONNECT_SECONDS): number | undefined {
  const seconds = Number(text);
  return seconds <= 0 ? undefined : Math.min(Math.max(seconds, 2) * 1000, LONGEST_TIMER_MS);
}
