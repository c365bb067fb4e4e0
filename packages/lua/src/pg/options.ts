/**
 * All connection options of libpq up to PostgreSQL 18. Each is either implemented, or refused
 * by name if it asks for something that is not implemented. None is accepted and ignored, except
 * `sslcompression`, which libpq ignores as well, and `max_protocol_version`, because no value of
 * it excludes protocol 3.0. Pure.
 * @see PostgreSQL manual, "Parameter Key Words", "Environment Variables"; PQconndefaults
 */

/** Values of options by their names in libpq. */
export type Parameters = Map<string, string>;

/** A connection string that cannot be used; the message shows no password. */
export class ConninfoError extends Error {
  override name = "ConninfoError";
}

interface Option {
  /** The environment variable that gives the option's default. */
  readonly variable?: string;
  /** Returns the reason why this value is refused; undefined if it is implemented. */
  readonly refuse?: (value: string) => string | undefined;
}

const done = (variable?: string): Option => (variable === undefined ? {} : { variable });

/** Accepts only the harmless values, which ask for nothing; refuses others with this reason. */
function only(harmless: readonly string[], reason: string, variable?: string): Option {
  const refuse = (value: string) => (harmless.includes(value.toLowerCase()) ? undefined : reason);
  return variable === undefined ? { refuse } : { variable, refuse };
}

/** Accepts these values, except those for which `refused` has a reason; others are invalid. */
function oneOf(name: string, values: readonly string[], variable: string, refused = {}): Option {
  const reasons: Readonly<Record<string, string>> = refused;
  return {
    variable,
    refuse: (value) => {
      if (!values.includes(value)) throw new ConninfoError(`invalid ${name} value: "${value}"`);
      return reasons[value];
    },
  };
}

/** Accepts an integer; as in libpq, there may be white space around it. */
function integer(name: string, variable?: string): Option {
  return {
    ...done(variable),
    refuse: (value) => {
      if (!/^\s*[-+]?\d+\s*$/.test(value))
        throw new ConninfoError(`invalid integer value "${value}" for connection option "${name}"`);
      return undefined;
    },
  };
}

const NO_GSSAPI = "GSSAPI is not implemented";
const NO_OAUTH = "OAuth is not implemented";
const UTF8_ONLY = "only UTF-8 is supported";
const SSL_VERSIONS = ["tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3", ""];

function sslVersion(name: string, variable: string): Option {
  return {
    variable,
    refuse: (value) => {
      if (!SSL_VERSIONS.includes(value.toLowerCase()))
        throw new ConninfoError(`invalid ${name} value: "${value}"`);
      return undefined;
    },
  };
}

const OPTIONS: Readonly<Record<string, Option>> = {
  service: done("PGSERVICE"),
  servicefile: done("PGSERVICEFILE"),
  user: done("PGUSER"),
  password: done("PGPASSWORD"),
  passfile: done("PGPASSFILE"),
  dbname: done("PGDATABASE"),
  host: done("PGHOST"),
  hostaddr: done("PGHOSTADDR"),
  port: done("PGPORT"),
  connect_timeout: integer("connect_timeout", "PGCONNECT_TIMEOUT"),
  client_encoding: only(["utf8", "utf-8", "unicode", "auto", ""], UTF8_ONLY, "PGCLIENTENCODING"),
  options: done("PGOPTIONS"),
  application_name: done("PGAPPNAME"),
  fallback_application_name: done(),
  keepalives: integer("keepalives"),
  keepalives_idle: integer("keepalives_idle"),
  keepalives_interval: integer("keepalives_interval"),
  keepalives_count: integer("keepalives_count"),
  tcp_user_timeout: integer("tcp_user_timeout"),
  sslmode: oneOf(
    "sslmode",
    ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
    "PGSSLMODE",
  ),
  sslnegotiation: oneOf("sslnegotiation", ["postgres", "direct"], "PGSSLNEGOTIATION"),
  // Ignored by libpq as well: PostgreSQL 14 removed SSL compression.
  sslcompression: done("PGSSLCOMPRESSION"),
  sslcert: done("PGSSLCERT"),
  sslkey: done("PGSSLKEY"),
  sslpassword: done(),
  sslcertmode: oneOf("sslcertmode", ["disable", "allow", "require"], "PGSSLCERTMODE", {
    require: "Node does not report whether the server has asked for a certificate",
  }),
  sslrootcert: done("PGSSLROOTCERT"),
  sslcrl: done("PGSSLCRL"),
  sslcrldir: done("PGSSLCRLDIR"),
  sslsni: done("PGSSLSNI"),
  sslkeylogfile: only([""], "keys are never written to a file"),
  ssl_min_protocol_version: sslVersion("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
  ssl_max_protocol_version: sslVersion("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
  requirepeer: done("PGREQUIREPEER"),
  require_auth: done("PGREQUIREAUTH"),
  channel_binding: oneOf("channel_binding", ["disable", "prefer", "require"], "PGCHANNELBINDING"),
  gssencmode: oneOf("gssencmode", ["disable", "prefer", "require"], "PGGSSENCMODE", {
    require: NO_GSSAPI,
  }),
  krbsrvname: only(["postgres", ""], NO_GSSAPI, "PGKRBSRVNAME"),
  gsslib: only(["gssapi", ""], NO_GSSAPI, "PGGSSLIB"),
  gssdelegation: only(["0", ""], NO_GSSAPI, "PGGSSDELEGATION"),
  replication: only(
    ["", "0", "false", "off", "no"],
    "scripts send SQL statements, not replication commands",
  ),
  target_session_attrs: oneOf(
    "target_session_attrs",
    ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"],
    "PGTARGETSESSIONATTRS",
  ),
  load_balance_hosts: oneOf("load_balance_hosts", ["disable", "random"], "PGLOADBALANCEHOSTS"),
  min_protocol_version: only(["", "3.0"], "only protocol 3.0 is supported", "PGMINPROTOCOLVERSION"),
  max_protocol_version: done("PGMAXPROTOCOLVERSION"),
  scram_client_key: only([""], "a password is needed instead"),
  scram_server_key: only([""], "a password is needed instead"),
  oauth_issuer: only([""], NO_OAUTH),
  oauth_client_id: only([""], NO_OAUTH),
  oauth_client_secret: only([""], NO_OAUTH),
  oauth_scope: only([""], NO_OAUTH),
  // Our own: the way in which a pooler assigns sessions to clients, in the terms of PgBouncer.
  pool_mode: {
    refuse: (value) => {
      if (!["session", "transaction"].includes(value))
        throw new ConninfoError(`invalid pool_mode value: "${value}"`);
      return undefined;
    },
  },
};

/** Settings of the session, which libpq takes only from the environment. */
export const SESSION_VARIABLES: Readonly<Record<string, string>> = {
  PGDATESTYLE: "datestyle",
  PGTZ: "timezone",
  PGGEQO: "geqo",
};

/** The names of all options. */
export const optionNames: readonly string[] = Object.keys(OPTIONS);

/** Returns the environment variable that gives the default of an option. */
export function variableOf(name: string): string | undefined {
  return OPTIONS[name]?.variable;
}

/** Returns true if there is an option of this name: one of libpq's, or `pool_mode`. */
export function isOption(name: string): boolean {
  return Object.hasOwn(OPTIONS, name);
}

/**
 * Returns a part of a connection string in quotes, with a space before them, to be appended to a
 * message. Returns an empty string if the part may belong to a misplaced password.
 */
export function quoted(word: string): string {
  return /^[A-Za-z]\w*$/.test(word) && word.length <= 32 ? ` "${word}"` : "";
}

/**
 * Checks all options.
 * @throws ConninfoError with the name of an option whose value is invalid or not supported
 */
export function checkOptions(parameters: Parameters): void {
  for (const [name, value] of parameters) {
    const reason = OPTIONS[name]?.refuse?.(value);
    if (reason !== undefined)
      throw new ConninfoError(`connection option "${name}" is not supported: ${reason}`);
  }
}
