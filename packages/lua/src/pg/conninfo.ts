/**
 * libpq's connection strings, both forms. Pure.
 * @see PostgreSQL manual, "Connection Strings"
 */

/** Parameters by their libpq names. */
export type Parameters = Map<string, string>;

export class ConninfoError extends Error {
  override name = "ConninfoError";
}

/** What libpq knows; of these we use those that mean something here. */
const KNOWN = new Set(
  (
    "authtype service user password connect_timeout dbname host hostaddr port client_encoding " +
    "options application_name fallback_application_name keepalives keepalives_idle " +
    "keepalives_interval keepalives_count tcp_user_timeout sslmode sslcompression sslcert sslkey " +
    "sslpassword sslrootcert sslcrl sslcrldir sslsni requirepeer require_auth " +
    "ssl_min_protocol_version ssl_max_protocol_version sslnegotiation sslcertmode gssencmode krbsrvname " +
    "gsslib gssdelegation replication target_session_attrs load_balance_hosts passfile " +
    "channel_binding requiressl tty min_protocol_version max_protocol_version"
  ).split(" "),
);

/** @throws ConninfoError in the words of libpq */
export function parseConninfo(conninfo: string): Parameters {
  return /^postgres(?:ql)?:\/\//.test(conninfo) ? parseUri(conninfo) : parsePairs(conninfo);
}

export function checkName(name: string): string {
  if (!KNOWN.has(name)) throw new ConninfoError(`invalid connection option "${name}"`);
  return name;
}

/** `key = value` pairs; values may be quoted with `'`, `\` takes the next character as it is. */
function parsePairs(text: string): Parameters {
  const parameters: Parameters = new Map();
  let rest = text.trimStart();
  while (rest !== "") {
    const name = /^[^=\s]*/.exec(rest)?.[0] ?? "";
    rest = rest.slice(name.length).trimStart();
    if (!rest.startsWith("="))
      throw new ConninfoError(`missing "=" after "${name}" in connection info string`);
    rest = rest.slice(1).trimStart();
    const quoted = rest.startsWith("'");
    const pattern = quoted ? /^'((?:[^'\\]|\\[\s\S])*)'/ : /^((?:[^\s\\]|\\[\s\S]|\\$)*)/;
    const match = pattern.exec(rest);
    if (match === null)
      throw new ConninfoError("unterminated quoted string in connection info string");
    parameters.set(checkName(name), (match[1] ?? "").replace(/\\([\s\S]?)/g, "$1"));
    rest = rest.slice(match[0].length).trimStart();
  }
  return parameters;
}

/** `postgresql://[user[:password]@][host[:port],...][/dbname][?name=value&...]` */
function parseUri(uri: string): Parameters {
  const parameters: Parameters = new Map();
  const match =
    /^[a-z]+:\/\/(?:([^/?#:@]*)(?::([^/?#@]*))?@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/.exec(uri);
  if (match === null) throw new ConninfoError(`invalid URI: "${uri}"`);
  const [, user, password, authority = "", database, query = ""] = match;
  setDecoded(parameters, "user", user);
  setDecoded(parameters, "password", password);
  const hosts = authority.split(",").map((part) => parseHost(part, uri));
  setDecoded(parameters, "host", hosts.map(({ host }) => host).join(","));
  const ports = hosts.map(({ port }) => port);
  if (ports.some((port) => port !== "")) parameters.set("port", ports.join(","));
  setDecoded(parameters, "dbname", database);
  for (const pair of query.split("&")) {
    if (pair !== "") parsePair(parameters, pair, uri);
  }
  return parameters;
}

function parseHost(part: string, uri: string): { host: string; port: string } {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d*))?$/.exec(part);
  if (match === null) throw new ConninfoError(`invalid host "${part}" in URI: "${uri}"`);
  return { host: match[1] ?? match[2] ?? "", port: match[3] ?? "" };
}

function parsePair(parameters: Parameters, pair: string, uri: string): void {
  const [name = "", value, extra] = pair.split("=");
  if (value === undefined)
    throw new ConninfoError(`missing key/value separator "=" in URI query parameter: "${name}"`);
  if (extra !== undefined)
    throw new ConninfoError(`extra key/value separator "=" in URI query parameter: "${name}"`);
  const decodedName = decode(name);
  // JDBC's way to ask for TLS
  if (decodedName === "ssl" && value === "true") parameters.set("sslmode", "require");
  else if (!KNOWN.has(decodedName))
    throw new ConninfoError(`invalid URI query parameter: "${decodedName}" in "${uri}"`);
  else parameters.set(decodedName, decode(value));
}

function setDecoded(parameters: Parameters, name: string, value: string | undefined): void {
  if (value !== undefined && value !== "") parameters.set(name, decode(value));
}

function decode(text: string): string {
  if (/%(?![0-9a-fA-F]{2})/.test(text))
    throw new ConninfoError(`invalid percent-encoded token: "${text}"`);
  if (text.includes("%00"))
    throw new ConninfoError(`forbidden value %00 in percent-encoded value: "${text}"`);
  try {
    return decodeURIComponent(text);
  } catch {
    // libpq would pass such bytes on; no name that we could say them in has them.
    throw new ConninfoError(`no UTF-8 in percent-encoded value: "${text}"`);
  }
}
