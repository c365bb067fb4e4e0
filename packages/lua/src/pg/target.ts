/**
 * Where to connect and as whom: a connection string completed from the service file,
 * the environment and libpq's defaults.
 * @see PostgreSQL manual, "Parameter Key Words", "Environment Variables"
 */
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { ConninfoError, checkName, type Parameters, parseConninfo } from "./conninfo.ts";

export const SSL_MODES = [
  "disable",
  "allow",
  "prefer",
  "require",
  "verify-ca",
  "verify-full",
] as const;
export type SslMode = (typeof SSL_MODES)[number];

/** One server to try. */
export interface Host {
  /** A directory of a Unix socket, a name, or an address. */
  host: string;
  /** An address that spares the resolution of `host`. */
  hostaddr: string | undefined;
  port: number;
}

export interface Target {
  hosts: Host[];
  user: string;
  database: string;
  password: string | undefined;
  passfile: string;
  sslMode: SslMode;
  connectTimeoutMs: number | undefined;
  sessionAttributes: string;
  /** The other parameters, as they are. */
  other: Parameters;
}

type Environment = Readonly<Record<string, string | undefined>>;

const VARIABLES: Record<string, string> = {
  service: "PGSERVICE",
  host: "PGHOST",
  hostaddr: "PGHOSTADDR",
  port: "PGPORT",
  dbname: "PGDATABASE",
  user: "PGUSER",
  password: "PGPASSWORD",
  passfile: "PGPASSFILE",
  options: "PGOPTIONS",
  application_name: "PGAPPNAME",
  connect_timeout: "PGCONNECT_TIMEOUT",
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
  sslsni: "PGSSLSNI",
  target_session_attrs: "PGTARGETSESSIONATTRS",
  load_balance_hosts: "PGLOADBALANCEHOSTS",
  channel_binding: "PGCHANNELBINDING",
};

/** Debian's libpq looks for the socket here. */
const SOCKET_DIRECTORY = "/var/run/postgresql";

/** @throws ConninfoError */
export function resolveTarget(conninfo: string, env: Environment = process.env): Target {
  const given = parseConninfo(conninfo);
  const value = (name: string): string | undefined => {
    const own = given.get(name) || service.get(name);
    return own || (VARIABLES[name] === undefined ? undefined : env[VARIABLES[name]]) || undefined;
  };
  let service: Parameters = new Map();
  const serviceName = value("service");
  if (serviceName !== undefined) service = readService(serviceName, env);

  const { username, homedir } = userInfo();
  const user = value("user") ?? username;
  return {
    hosts: listHosts(value("host"), value("hostaddr"), value("port")),
    user,
    database: value("dbname") ?? user,
    password: value("password"),
    passfile: value("passfile") ?? join(env["HOME"] ?? homedir, ".pgpass"),
    sslMode: sslMode(value("sslmode") ?? (value("requiressl") === "1" ? "require" : "prefer")),
    connectTimeoutMs: timeout(value("connect_timeout")),
    sessionAttributes: value("target_session_attrs") ?? "any",
    other: new Map(
      [...Object.keys(VARIABLES), ...service.keys(), ...given.keys()].flatMap((name) => {
        const text = value(name);
        return text === undefined ? [] : [[name, text] as const];
      }),
    ),
  };
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
    return {
      host: name || address || SOCKET_DIRECTORY,
      hostaddr: address,
      port: portNumber(ports[ports.length === 1 ? 0 : i] ?? ""),
    };
  });
}

function portNumber(text: string): number {
  if (text === "") return 5432;
  const port = Number(text);
  if (!/^\s*\d+\s*$/.test(text))
    throw new ConninfoError(`invalid integer value "${text}" for connection option "port"`);
  if (port < 1 || port > 65535) throw new ConninfoError(`invalid port number: "${text}"`);
  return port;
}

function sslMode(text: string): SslMode {
  const mode = SSL_MODES.find((known) => known === text);
  if (mode === undefined) throw new ConninfoError(`invalid sslmode value: "${text}"`);
  return mode;
}

/** libpq takes 0 and less for "wait for ever", and 1 second for 2. */
function timeout(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (!Number.isInteger(seconds))
    throw new ConninfoError(
      `invalid integer value "${text}" for connection option "connect_timeout"`,
    );
  return seconds <= 0 ? undefined : Math.max(seconds, 2) * 1000;
}

function readService(name: string, env: Environment): Parameters {
  const files = [
    env["PGSERVICEFILE"] ?? join(env["HOME"] ?? userInfo().homedir, ".pg_service.conf"),
    join(env["PGSYSCONFDIR"] ?? "/etc/postgresql-common", "pg_service.conf"),
  ];
  for (const file of files) {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch {
      // Neither file has to exist.
      continue;
    }
    const service = parseService(text, name, file);
    if (service !== undefined) return service;
  }
  throw new ConninfoError(`definition of service "${name}" not found`);
}

/** The section `[name]` of a service file; undefined where there is none. Pure. */
export function parseService(text: string, name: string, file: string): Parameters | undefined {
  let parameters: Parameters | undefined;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    if (line.startsWith("[")) {
      if (parameters !== undefined) break;
      if (line === `[${name}]`) parameters = new Map();
    } else if (parameters !== undefined) {
      const [, key, value] = /^([^=]+)=(.*)$/.exec(line) ?? [];
      if (key === undefined || value === undefined)
        throw new ConninfoError(`syntax error in service file "${file}", line ${index + 1}`);
      parameters.set(checkName(key), value);
    }
  }
  return parameters;
}
